{# A column of a raw relation if it is there, else null of the given type (text): optional raw columns may be absent. #}
{% macro raw_column(columns, name, type=none) -%}
    {%- set names = columns | map(attribute='name') | map('lower') | list -%}
    {{ quoted(columns[names.index(name)].name) if name in names else "cast(null as " ~ (type or dbt.type_string()) ~ ")" }}
{%- endmacro %}
