{# numerator / denominator of whole numbers ≥ 0, rounded half away from zero to 6 places; null where the denominator is 0.
   DuckDB divides decimals as floats, so there it is a division of integers. Products need `wide`. #}
{% macro exact_ratio(numerator, denominator) -%}
    {{ return(adapter.dispatch('exact_ratio')(numerator, denominator)) }}
{%- endmacro %}

{% macro default__exact_ratio(numerator, denominator) -%}
    cast(round(cast({{ numerator }} as decimal(38, 0)) / nullif({{ denominator }}, 0), 6) as decimal(18, 6))
{%- endmacro %}

{% macro duckdb__exact_ratio(numerator, denominator) -%}
    cast(
        cast((2000000 * ({{ numerator }}) + ({{ denominator }})) // (2 * nullif({{ denominator }}, 0)) as bigint)
        * cast(0.000001 as decimal(7, 6))
        as decimal(18, 6)
    )
{%- endmacro %}
