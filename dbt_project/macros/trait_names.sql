{# The trait columns (trait_<name>) of a relation, quoted, by name: the order of raw columns is that in which files brought them. #}
{% macro trait_names(relation) -%}
    {%- set names = [] -%}
    {%- for column in relation_columns(relation) | sort(attribute='name')
        if column.name.startswith('trait_') -%}
        {%- do names.append(quoted(column.name)) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
