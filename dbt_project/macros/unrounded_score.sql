{# Points on 0–100 by a score model's curve, not yet rounded (12 places): exponential: 100·(1 − 10^(−points/benchmark)),
   winsorized: 100·min(points/benchmark, 1), no benchmark: 0. #}
{% macro unrounded_score(points, benchmark, curve) -%}
    cast(
        case
            when coalesce({{ benchmark }}, 0) = 0 then 0
            when {{ curve }} = 'winsorized' then 100 * least(cast({{ points }} as double) / cast({{ benchmark }} as double), 1)
            else 100 * (1 - power(10, -cast({{ points }} as double) / cast({{ benchmark }} as double)))
        end
        as decimal(18, 12)
    )
{%- endmacro %}
