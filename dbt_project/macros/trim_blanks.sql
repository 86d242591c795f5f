{# Text without spaces, tabs and line ends around it. #}
{% macro trim_blanks(expression) -%}
    {{ return(adapter.dispatch('trim_blanks')(expression)) }}
{%- endmacro %}

{% macro default__trim_blanks(expression) -%}
    trim(both ' \t\n\r\u000b\u000c' from cast({{ expression }} as {{ dbt.type_string() }}))
{%- endmacro %}

{% macro duckdb__trim_blanks(expression) -%}
    trim(cast({{ expression }} as varchar), e' \t\n\r\f\x0b')
{%- endmacro %}
