{# Points or weights as a whole number of ten-thousandths: they have at most 4 decimals. #}
{% macro in_units(points) -%}
    cast({{ points }} * 10000 as bigint)
{%- endmacro %}
