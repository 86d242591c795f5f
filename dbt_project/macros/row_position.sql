{# Where a row stands in a table, so that few rows of many are found again; null in a view. Rows of raw tables keep their places from one complete run to the next. An engine without such numbers cannot restate: its runs build everything anew. #}
{% macro row_position(relation) -%}
    {{ return(adapter.dispatch('row_position')(relation)) }}
{%- endmacro %}

{% macro default__row_position(relation) -%}
    cast(null as {{ dbt.type_bigint() }})
{%- endmacro %}

{% macro duckdb__row_position(relation) -%}
    {#- asked of DuckDB, for which capitals in a name make no difference -#}
    {%- set is_table -%}
        select count(*) > 0
        from duckdb_tables()
        where
            database_name = current_database()
            and lower(schema_name) = lower('{{ relation.schema }}')
            and lower(table_name) = lower('{{ relation.identifier }}')
    {%- endset -%}
    {{
        'rowid' if execute and relation.schema and run_query(is_table).rows[0][0]
        else default__row_position(relation)
    }}
{%- endmacro %}
