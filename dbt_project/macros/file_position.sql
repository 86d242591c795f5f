{# The position of a dial row in its file. DuckDB numbers rows as the seed inserted them; other engines keep the order of a single small file. #}
{% macro file_position() -%}
    {{ return(adapter.dispatch('file_position')()) }}
{%- endmacro %}

{% macro default__file_position() -%}
    monotonically_increasing_id()
{%- endmacro %}

{% macro duckdb__file_position() -%}
    rowid
{%- endmacro %}
