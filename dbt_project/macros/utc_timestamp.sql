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

{# The same for text that may have blanks around it. #}
{% macro text_timestamp(expression) -%}
    {{ return(adapter.dispatch('text_timestamp')(expression)) }}
{%- endmacro %}

{% macro default__text_timestamp(expression) -%}
    {{ utc_timestamp(trim_blanks(expression)) }}
{%- endmacro %}

{# Some sources put a blank before the offset, or write t and z small; text is tidied only where it cannot be read as it is. Files are read in the same way (`raw_files.instant_of_text`). #}
{% macro duckdb__text_timestamp(expression) -%}
    {%- set joined = "regexp_replace(" ~ trim_blanks(expression) ~ ", '\\s+([+-][0-9]{2}|[zZ]$)', '\\1')" -%}
    {%- set divided = "regexp_replace(" ~ joined ~ ", '^([0-9-]+)t', '\\1T')" -%}
    {%- set tidy = "regexp_replace(" ~ divided ~ ", 'z$', 'Z')" -%}
    {{ readable_timestamp(
        "(coalesce(try_cast(" ~ expression ~ " as timestamptz), try_cast(" ~ tidy
        ~ " as timestamptz)) at time zone 'UTC')"
    ) }}
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
