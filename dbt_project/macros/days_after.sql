{# The date that lies a number of whole days after (or, negative, before) a date. #}
{% macro days_after(date, days) -%}
    {{ return(adapter.dispatch('days_after')(date, days)) }}
{%- endmacro %}

{% macro default__days_after(date, days) -%}
    date_add({{ date }}, {{ days }})
{%- endmacro %}

{% macro duckdb__days_after(date, days) -%}
    ({{ date }} + cast({{ days }} as integer))
{%- endmacro %}
