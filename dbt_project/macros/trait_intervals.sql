{# A query: one row per entity, trait and stretch of days in which the trait has one value, of a query that gives values and the days from which they hold; valid_to is null where a value still holds. #}
{% macro trait_intervals(traits, entity) -%}
    {%- set by_day = 'over (partition by ' ~ entity ~ ', trait order by row_date)' -%}
    select
        {{ entity }},
        trait,
        trait_value,
        row_date as valid_from,
        {{ days_after('lead(row_date) ' ~ by_day, -1) }} as valid_to
    from (
        select *, lag(trait_value) {{ by_day }} as previous_value
        from ({{ traits }}) as traits
    ) as compared
    where previous_value is null or previous_value <> trait_value
{%- endmacro %}
