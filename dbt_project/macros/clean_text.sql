{# Text without the blanks around it; blank, null and undefined (any case) are missing. #}
{% macro clean_text(expression) -%}
    {{ return(adapter.dispatch('clean_text')(expression)) }}
{%- endmacro %}

{% macro default__clean_text(expression) -%}
    {%- set text = trim_blanks(expression) -%}
    case when lower({{ text }}) not in ('', 'null', 'undefined') then {{ text }} end
{%- endmacro %}

{# DuckDB asks functions, unlike comparisons, once for a text that repeats. #}
{% macro duckdb__clean_text(expression) -%}
    nullif(regexp_replace({{ trim_blanks(expression) }}, '^(?i:null|undefined)$', ''), '')
{%- endmacro %}
