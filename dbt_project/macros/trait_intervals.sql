{# A query: one row per entity, trait and stretch of days in which the trait has one value; valid_to is null where it still has. The condition says which rows of the relation count. #}
{% macro trait_intervals(relation, entity, condition='true') -%}
    {%- set by_day = 'over (partition by ' ~ entity ~ ', trait order by row_date)' -%}
    select
        {{ entity }},
        trait,
        trait_value,
        row_date as valid_from,
        {{ days_after('lead(row_date) ' ~ by_day, -1) }} as valid_to
    from (
        select *, lag(trait_value) {{ by_day }} as previous_value
        from ({{ traits_by_day(relation, entity, condition) }}) as traits
    ) as compared
    where previous_value is null or previous_value <> trait_value
{%- endmacro %}
