{# An instant as a UTC timestamp: text with an offset is that instant, without one it is UTC; null if unreadable.
   Engines other than DuckDB need a UTC session time zone. #}
{% macro utc_timestamp(expression) -%}
    {{ return(adapter.dispatch('utc_timestamp')(expression)) }}
{%- endmacro %}

{% macro default__utc_timestamp(expression) -%}
    try_cast({{ expression }} as timestamp)
{%- endmacro %}

{% macro duckdb__utc_timestamp(expression) -%}
    {{ readable_timestamp("(try_cast(" ~ expression ~ " as timestamptz) at time zone 'UTC')") }}
{%- endmacro %}

{# A UTC timestamp of the years 1 to 9999, else null: DuckDB also has infinite ones, and years that end where a day more is an error. #}
{% macro readable_timestamp(expression) -%}
    {{ return(adapter.dispatch('readable_timestamp')(expression)) }}
{%- endmacro %}

{% macro default__readable_timestamp(expression) -%}
    {{ expression }}
{%- endmacro %}

{% macro duckdb__readable_timestamp(expression) -%}
    case
        when {{ expression }} between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999' then {{ expression }}
    end
{%- endmacro %}
