{# Whether text is well-formed JSON. #}
{% macro is_json(text) -%}
    {{ return(adapter.dispatch('is_json')(text)) }}
{%- endmacro %}

{% macro default__is_json(text) -%}
    try_parse_json({{ text }}) is not null
{%- endmacro %}

{% macro duckdb__is_json(text) -%}
    json_valid({{ text }})
{%- endmacro %}
