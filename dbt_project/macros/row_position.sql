{# Where a row stands in a table, so that few rows of many are found again; null in a view. Rows of raw tables keep their places from one complete run to the next. An engine without such numbers cannot restate: its runs build everything anew. #}
{% macro row_position(relation) -%}
    {{ return(adapter.dispatch('row_position')(relation)) }}
{%- endmacro %}

{% macro default__row_position(relation) -%}
    cast(null as {{ dbt.type_bigint() }})
{%- endmacro %}

{% macro duckdb__row_position(relation) -%}
    {%- set there = load_cached_relation(relation) if execute and relation.schema -%}
    {{ 'rowid' if there and there.type == 'table' else default__row_position(relation) }}
{%- endmacro %}
