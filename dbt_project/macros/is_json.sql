{# Whether text is well-formed JSON. #}
{% macro is_json(text) -%}
    {{ return(adapter.dispatch('is_json')(text)) }}
{%- endmacro %}

{% macro default__is_json(text) -%}
    try_parse_json({{ text }}) is not null
{%- endmacro %}

{# DuckDB's reader lets NaN, Infinity and a comma too many pass: outside of strings they are no JSON. #}
{% macro duckdb__is_json(text) -%}
    (
        json_valid({{ text }})
        and not (
            regexp_matches({{ text }}, '(?i)nan|inf|,\s*[}\]]')
            and regexp_matches(
                regexp_replace({{ text }}, '"(\\.|[^"\\])*"', '', 'g'), '(?i)nan|inf|,\s*[}\]]'
            )
        )
    )
{%- endmacro %}
