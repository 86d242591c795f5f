{# Which copy of its id a row is: the earliest, then the first received, then the smallest of these columns and of its traits, nulls first, is the one that counts. #}
{% macro copy_number(relation, columns) -%}
    row_number() over (
        partition by row_id
        order by
            row_at,
            received_at
            {%- for column in columns %}
            {{ ', ' ~ column }} nulls first
            {%- endfor %}
            {#- by name: the order of raw columns is that in which files brought them #}
            {%- for column in relation_columns(relation) | sort(attribute='name')
                if column.name.startswith('trait_') %}
            {{ ', ' ~ quoted(column.name) }} nulls first
            {%- endfor %}
    )
{%- endmacro %}
