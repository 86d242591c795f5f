{# numerator / denominator of numbers ≥ 0 with at most 6 decimals, rounded half away from zero to 6 places;
   null where the denominator is 0. Engines other than DuckDB round their decimal quotient, DuckDB has none: integers do it. #}
{% macro exact_ratio(numerator, denominator) -%}
    {{ return(adapter.dispatch('exact_ratio')(numerator, denominator)) }}
{%- endmacro %}

{% macro default__exact_ratio(numerator, denominator) -%}
    cast(round(cast({{ numerator }} as decimal(28, 6)) / nullif({{ denominator }}, 0), 6) as decimal(18, 6))
{%- endmacro %}

{% macro duckdb__exact_ratio(numerator, denominator) -%}
    {%- set n = "cast(cast(" ~ numerator ~ " as decimal(28, 6)) * 1000000 as hugeint)" -%}
    {%- set d = "nullif(cast(cast(" ~ denominator ~ " as decimal(28, 6)) * 1000000 as hugeint), 0)" -%}
    cast(cast((2000000 * {{ n }} + {{ d }}) // (2 * {{ d }}) as decimal(24, 0)) * 0.000001 as decimal(18, 6))
{%- endmacro %}
