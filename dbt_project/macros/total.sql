{# Aggregate: the sum of a whole number over the rows that meet a condition; 0 where none does. #}
{% macro total(number, condition) -%}
    cast(coalesce(sum(case when {{ condition }} then {{ number }} end), 0) as bigint)
{%- endmacro %}
