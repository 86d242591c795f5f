{# In a select list: one row per day from the first to the last date, both included. #}
{% macro each_day(first_date, last_date) -%}
    {{ return(adapter.dispatch('each_day')(first_date, last_date)) }}
{%- endmacro %}

{% macro default__each_day(first_date, last_date) -%}
    explode(sequence({{ first_date }}, {{ last_date }}))
{%- endmacro %}

{% macro duckdb__each_day(first_date, last_date) -%}
    cast(unnest(generate_series({{ first_date }}, {{ last_date }}, interval 1 day)) as date)
{%- endmacro %}
