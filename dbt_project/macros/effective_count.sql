{# 1/Σs² of shares s that belong to amounts with this sum and this sum of squares (the inverse Simpson index); null where the sum is 0. #}
{% macro effective_count(total, squares) -%}
    {{ return(adapter.dispatch('effective_count')(total, squares)) }}
{%- endmacro %}

{% macro default__effective_count(total, squares) -%}
    cast(round({{ total }} * {{ total }} / nullif({{ squares }}, 0), 6) as decimal(18, 6))
{%- endmacro %}

{# Products of points have 8 decimals: integers again, in units of 10^-4 points. #}
{% macro duckdb__effective_count(total, squares) -%}
    {%- set n = "cast(" ~ total ~ " * 10000 as hugeint)" -%}
    {%- set d = "nullif(cast(" ~ squares ~ " * 100000000 as hugeint), 0)" -%}
    cast(cast((2000000 * {{ n }} * {{ n }} + {{ d }}) // (2 * {{ d }}) as decimal(24, 0)) * 0.000001 as decimal(18, 6))
{%- endmacro %}
