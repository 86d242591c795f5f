{# Where everything is built anew: statements that drop what models left that are no more, as a new version may have such. Of tables that people keep in schemas named like ours none goes. #}
{% macro drop_former_models() -%}
    {%- if execute and not restating() -%}
        {%- set names = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model')
            | map(attribute='alias') | list -%}
        {%- for schema, prefix in {'intermediate': 'int_', 'superseded': '', 'renewed': ''}.items() -%}
            {%- set place = api.Relation.create(database=target.database, schema=schema) -%}
            {%- for row in list_relations_without_caching(place)
                if row['name'].startswith(prefix) and row['name'] not in names %}
    drop {{ row['type'] }} {{ place.incorporate(path={'identifier': row['name']}) }};
            {%- endfor -%}
        {%- endfor -%}
        {#- Asking began a transaction, which dbt takes back after its hooks. -#}
        {%- do adapter.commit() -%}
    {%- endif -%}
{%- endmacro %}
