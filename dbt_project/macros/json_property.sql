{# A top-level value of a JSON object as text (true, 6, a string without quotes); null where absent, null or malformed, and of what is no object. #}
{% macro json_property(json_text, name) -%}
    {{ return(adapter.dispatch('json_property')(json_text, name)) }}
{%- endmacro %}

{% macro default__json_property(json_text, name) -%}
    {#- a path would not find names with a quote in them -#}
    try_element_at(from_json({{ json_text }}, 'map<string,string>'), {{ name }})
{%- endmacro %}

{% macro duckdb__json_property(json_text, name) -%}
    json_extract_string(
        case when {{ is_json(json_text) }} and starts_with(ltrim({{ json_text }}, e' \t\n\r'), '{') then {{ json_text }} end, '/' || replace(replace({{ name }}, '~', '~0'), '/', '~1')
    )
{%- endmacro %}
