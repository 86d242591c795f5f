{# A column that a source named, as an identifier, whatever its letters. #}
{% macro quoted(name) -%}
    {{ return(adapter.dispatch('quoted')(name)) }}
{%- endmacro %}

{% macro default__quoted(name) -%}
    `{{ name | replace('`', '``') }}`
{%- endmacro %}

{% macro duckdb__quoted(name) -%}
    "{{ name | replace('"', '""') }}"
{%- endmacro %}
