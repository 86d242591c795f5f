{# The first day that is restated whatever was delivered: the one after the last run's, or an earlier one that was asked for. #}
{% macro first_new_day() -%}
    {%- set next = days_after(known_date(), 1) -%}
    {%- if var('restate_from') -%}
        least({{ next }}, cast('{{ var("restate_from") }}' as date))
    {%- else -%}
        {{ next }}
    {%- endif -%}
{%- endmacro %}
