{# Aggregate: the 90th percentile, linearly interpolated. Points have 4 decimals, so the percentile has at most 5 and 6 places are exact. #}
{% macro percentile_90(points) -%}
    {{ return(adapter.dispatch('percentile_90')(points)) }}
{%- endmacro %}

{% macro default__percentile_90(points) -%}
    cast(round(percentile(cast({{ points }} as double), 0.9), 6) as decimal(18, 6))
{%- endmacro %}

{% macro duckdb__percentile_90(points) -%}
    cast(round(quantile_cont(cast({{ points }} as double), 0.9), 6) as decimal(18, 6))
{%- endmacro %}
