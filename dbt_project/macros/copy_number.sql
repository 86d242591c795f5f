{# Which copy of its id a row is: the earliest, then the first received, then the smallest of these columns and of its traits as text, nulls first, is the one that counts. #}
{% macro copy_number(relation, columns) -%}
    row_number() over (
        partition by row_id
        order by
            row_at,
            received_at
            {%- for column in columns %}
            {{ ', ' ~ column }} nulls first
            {%- endfor %}
            {%- for name in trait_names(relation) %}
            {{ ', cast(' ~ name ~ ' as ' ~ dbt.type_string() ~ ')' }} nulls first
            {%- endfor %}
    )
{%- endmacro %}
