{# A query: one row per entity, day and trait that rows of the relation, or of a query of it, brought on that day, with the latest value. Only where rows of a day differ are they put in order: who is identified with every page says the same all day. #}
{% macro traits_by_day(relation, entity, rows=none) -%}
    {%- set names = trait_names(relation) -%}
    {%- set rows = '(' ~ rows ~ ')' if rows else relation -%}
    with

    days as (

        select
            {{ entity }},
            row_date,
            {%- for name in names %}
            max({{ name }}) as {{ name }},
            {%- endfor %}
            true {%- for name in names %} and coalesce(min({{ name }}) = max({{ name }}), true) {%- endfor %}
                as is_settled
        from {{ rows }} as rows_of_day
        where {{ entity }} is not null
        group by {{ entity }}, row_date

    ),

    settled as (

        select * from days where is_settled

    ),

    disputed as (

        select rows_of_day.*
        from {{ rows }} as rows_of_day
        inner join days
            on
                rows_of_day.{{ entity }} = days.{{ entity }}
                and rows_of_day.row_date = days.row_date
        where not days.is_settled

    ),

    ranked as (

        select
            *,
            row_number() over (
                partition by {{ entity }}, trait, row_date
                order by row_at desc, row_id desc
            ) as rank_of_day
        from (
            {{ traits_long(relation, [entity, 'row_date', 'row_id', 'row_at'], 'disputed') }}
        ) as said

    )

    {{ traits_long(relation, [entity, 'row_date'], 'settled') }}

    union all

    select {{ entity }}, row_date, trait, trait_value
    from ranked
    where rank_of_day = 1
{%- endmacro %}
