{# The same as `clean_text`, for a column in which nearly every text is another one. #}
{% macro clean_row_id(expression) -%}
    {{ return(adapter.dispatch('clean_row_id')(expression)) }}
{%- endmacro %}

{% macro default__clean_row_id(expression) -%}
    {{ clean_text(expression) }}
{%- endmacro %}

{# DuckDB trims a text that repeats once, but every other letter by letter. So it first looks for a sign before '!' at an end, or the length of the two words. #}
{% macro duckdb__clean_row_id(expression) -%}
    {%- set text = 'cast(' ~ expression ~ ' as varchar)' -%}
    case
        when
            {{ text }} < '!'
            or substring({{ text }}, -1) < '!'
            or case
                when strlen({{ text }}) in (4, 9) then lower({{ text }}) in ('null', 'undefined')
                else false
            end
            then {{ clean_text(expression) }}
        else {{ text }}
    end
{%- endmacro %}
