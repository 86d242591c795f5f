{# A query: one row per row and non-null trait column (trait_<name>) of a relation: the keys, trait, trait_value as text. #}
{% macro traits_long(relation, keys) -%}
    {%- for column in relation_columns(relation) if column.name.startswith('trait_') %}
    {{ 'union all' if not loop.first }}
    select
        {{ keys | join(', ') }},
        '{{ column.name[6:] | replace("'", "''") }}' as trait,
        cast({{ quoted(column.name) }} as {{ dbt.type_string() }}) as trait_value
    from {{ relation }}
    where {{ quoted(column.name) }} is not null
    {%- else %}
    select {{ keys | join(', ') }}, '' as trait, '' as trait_value from {{ relation }} where false
    {%- endfor %}
{%- endmacro %}
