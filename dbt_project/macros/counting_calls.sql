{# A query: the identify or group calls that count; where a run restates, those that the scope names by their places. Of each id one counts; few ids come twice, and only their rows are put in order. #}
{% macro counting_calls(screened, scope, ids) -%}
    {#- Text in place of a common table expression: what several read would be written down whole. -#}
    {%- set remaining -%}
        (
            select *
            from {{ screened }}
            where
                quarantine_reason is null
                and row_date <= {{ as_of_date() }}
                {%- for entity in ['user', 'account'] if entity ~ '_id' in ids %}
                and coalesce({{ entity }}_id, '') not in (
                    select entity_id from {{ ref('int_excluded_entities') }} where entity = '{{ entity }}'
                )
                {%- endfor %}
                {{- and_restated(scope, ['row_position']) }}
        ) as remaining
    {%- endset %}
    with

    copied as (

        select row_id from {{ remaining }} group by row_id having count(*) > 1

    ),

    ranked as (

        select *, {{ copy_number(screened, ids) }} as copy_number
        from {{ remaining }}
        where row_id in (select row_id from copied)

    ),

    counting as (

        select *, 1 as copy_number
        from {{ remaining }}
        where row_id not in (select row_id from copied)

        union all

        select * from ranked where copy_number = 1

    )

    select
        row_id,
        {%- for name in ids + trait_names(screened) %}
        {{ name }},
        {%- endfor %}
        row_at,
        row_date
    from counting
{%- endmacro %}
