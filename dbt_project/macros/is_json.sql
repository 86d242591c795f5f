{# Whether text is well-formed JSON. #}
{% macro is_json(text) -%}
    {{ return(adapter.dispatch('is_json')(text)) }}
{%- endmacro %}

{% macro default__is_json(text) -%}
    try_parse_json({{ text }}) is not null
{%- endmacro %}

{# DuckDB's reader lets NaN, Infinity and a comma too many pass: outside of strings they are no JSON. Strings are taken away only where one of these is found, and what is found is asked for, because DuckDB asks `regexp_extract`, unlike `regexp_matches`, once for a text that repeats. #}
{% macro duckdb__is_json(text) -%}
    {%- set no_json = "'(?i)nan|inf|,\s*[}\]]'" -%}
    (
        json_valid({{ text }})
        and case
            when regexp_extract({{ text }}, {{ no_json }}) = '' then true
            else regexp_extract(regexp_replace({{ text }}, '"(\\.|[^"\\])*"', '', 'g'), {{ no_json }}) = ''
        end
    )
{%- endmacro %}
