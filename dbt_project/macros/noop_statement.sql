{#-
    dbt keeps what it ran for a seed under target/run, at the seed's own path. A dial folder outside
    the project has an absolute path, and then that place is the dial file itself. So dbt's macro,
    without the writing.
-#}
{% macro noop_statement(name=None, message=None, code=None, rows_affected=None, res=None) -%}
    {%- set sql = caller() -%}
    {%- if name is not none -%}
        {{ store_raw_result(name, message=message, code=code, rows_affected=rows_affected, agate_table=res) }}
    {%- endif -%}
{%- endmacro %}
