{# In a where clause: only rows of the accounts, users (null: unknown) and days whose events changed; when everything is built anew, all rows. #}
{% macro and_restated_cells() -%}
    {{ and_restated('int_restated_cells', ['account_id', "coalesce(user_id, '')", 'event_date'], ['account_id', 'user_id', 'event_date']) }}
{%- endmacro %}
