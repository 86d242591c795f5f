{# A query: one row per row and non-null trait column (trait_<name>) of a relation: the keys, trait, trait_value as text. The relation is read once, however many columns there are; `rows` names a query of it, if not all of its rows are meant. #}
{% macro traits_long(relation, keys, rows=none) -%}
    {%- set names = trait_names(relation) -%}
    {%- if names -%}
    select {{ keys | join(', ') }}, substring(trait_column, 7) as trait, trait_value
    from (
        select
            {{ keys | join(', ') }}
            {%- for name in names %}
            {{ ', cast(' ~ name ~ ' as ' ~ dbt.type_string() ~ ') as ' ~ name }}
            {%- endfor %}
        from {{ rows or relation }}
    ) as wide
    unpivot (trait_value for trait_column in ({{ names | join(', ') }}))
    {%- else -%}
    select {{ keys | join(', ') }}, '' as trait, '' as trait_value from {{ rows or relation }} where false
    {%- endif -%}
{%- endmacro %}
