{# Aggregates over an entity's steps: missing_steps, step_count, completed_step_count, activation_rate. #}
{% macro activation_columns() -%}
    coalesce({{ listed_in_order("case when is_applicable and not is_completed then step_key end", "step_position", "','") }}, '') as missing_steps,
    count(case when is_applicable then 1 end) as step_count,
    count(case when is_applicable and is_completed then 1 end) as completed_step_count,
    {{ exact_ratio(
        in_units("coalesce(sum(case when is_applicable and is_completed then weight end), 0)"),
        in_units("sum(case when is_applicable then weight end)")
    ) }} as activation_rate
{%- endmacro %}
