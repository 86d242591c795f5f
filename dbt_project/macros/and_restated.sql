{# In a where clause: only rows whose key the scope names; when everything is built anew, all rows. #}
{% macro and_restated(scope, columns, names=none) -%}
    {%- if restating() %}
    and ({{ columns | join(', ') }}) in (select {{ (names or columns) | join(', ') }} from {{ ref(scope) }})
    {%- endif %}
{%- endmacro %}
