{# Points on 0–100 by a score model's curve, rounded half away from zero to 6 places. #}
{% macro score(points, benchmark, curve) -%}
    cast(round({{ unrounded_score(points, benchmark, curve) }}, 6) as decimal(18, 6))
{%- endmacro %}
