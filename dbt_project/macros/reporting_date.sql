{# The day in the reporting time zone of a UTC timestamp. #}
{% macro reporting_date(expression) -%}
    {{ return(adapter.dispatch('reporting_date')(expression)) }}
{%- endmacro %}

{% macro default__reporting_date(expression) -%}
    cast(from_utc_timestamp({{ expression }}, '{{ var("reporting_timezone") }}') as date)
{%- endmacro %}

{% macro duckdb__reporting_date(expression) -%}
    {%- if var("reporting_timezone") == "UTC" -%}
        cast({{ expression }} as date)
    {%- else -%}
        cast((({{ expression }}) at time zone 'UTC') at time zone '{{ var("reporting_timezone") }}' as date)
    {%- endif -%}
{%- endmacro %}
