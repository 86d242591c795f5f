{# How many characters two texts differ by (Levenshtein). DuckDB counts the bytes of UTF-8: an accent makes up to two. #}
{% macro edit_distance(one, other) -%}
    {{ return(adapter.dispatch('edit_distance')(one, other)) }}
{%- endmacro %}

{% macro default__edit_distance(one, other) -%}
    levenshtein({{ one }}, {{ other }})
{%- endmacro %}
