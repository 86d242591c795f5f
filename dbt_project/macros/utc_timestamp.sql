{# An instant as a UTC timestamp: text with an offset is that instant, without one it is UTC; null if unreadable.
   Engines other than DuckDB need a UTC session time zone. #}
{% macro utc_timestamp(expression) -%}
    {{ return(adapter.dispatch('utc_timestamp')(expression)) }}
{%- endmacro %}

{% macro default__utc_timestamp(expression) -%}
    try_cast({{ expression }} as timestamp)
{%- endmacro %}

{% macro duckdb__utc_timestamp(expression) -%}
    {%- set instant = "try_cast(" ~ expression ~ " as timestamptz)" -%}
    case when isfinite({{ instant }}) then {{ instant }} at time zone 'UTC' end
{%- endmacro %}

{# A UTC timestamp where it is a time: DuckDB also has infinite ones. #}
{% macro finite_timestamp(expression) -%}
    {{ return(adapter.dispatch('finite_timestamp')(expression)) }}
{%- endmacro %}

{% macro default__finite_timestamp(expression) -%}
    {{ expression }}
{%- endmacro %}

{% macro duckdb__finite_timestamp(expression) -%}
    case when isfinite({{ expression }}) then {{ expression }} end
{%- endmacro %}
