{# The descriptions of a relation and its columns as statements; none where they are not to be kept. #}
{% macro comments(relation) -%}
    {%- if config.persist_relation_docs() %}
    comment on {{ relation.type }} {{ relation }} is {{ duckdb_escape_comment(model.description) }};
    {%- for name, column in model.columns.items() %}
    comment on column {{ relation }}.{{ adapter.quote(name) }} is {{ duckdb_escape_comment(column.description) }};
    {%- endfor %}
    {%- endif %}
{%- endmacro %}

{# What dbt's own materialisations call: one execution, where dbt asks twice which columns there are. #}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) %}
    {%- do run_query(comments(relation)) -%}
{% endmacro %}
