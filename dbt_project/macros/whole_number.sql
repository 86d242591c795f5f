{# A whole number; null where there is none: 12.0 is 12, and 12.5 is not rounded. #}
{% macro whole_number(expression) -%}
    {%- set number = 'try_cast(' ~ expression ~ ' as decimal(38, 9))' -%}
    case when {{ number }} = floor({{ number }}) then try_cast({{ number }} as bigint) end
{%- endmacro %}
