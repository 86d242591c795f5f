{# A whole number in the engine's widest integer type, for products that outgrow a bigint. #}
{% macro wide(expression) -%}
    {{ return(adapter.dispatch('wide')(expression)) }}
{%- endmacro %}

{% macro default__wide(expression) -%}
    cast({{ expression }} as decimal(38, 0))
{%- endmacro %}

{% macro duckdb__wide(expression) -%}
    cast({{ expression }} as hugeint)
{%- endmacro %}
