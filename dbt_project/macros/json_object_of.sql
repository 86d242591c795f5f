{# Aggregate: a JSON object, as text, of keys and text values, in the order of the keys. #}
{% macro json_object_of(key, value) -%}
    {{ return(adapter.dispatch('json_object_of')(key, value)) }}
{%- endmacro %}

{% macro default__json_object_of(key, value) -%}
    to_json(map_from_entries(sort_array(collect_list(struct({{ key }}, {{ value }})))))
{%- endmacro %}

{% macro duckdb__json_object_of(key, value) -%}
    '{' || string_agg(to_json({{ key }}) || ':' || to_json({{ value }}), ',' order by {{ key }}) || '}'
{%- endmacro %}
