-- One row per account, trait and stretch of days in which the trait has one value.
with

traits as (

    {{ traits_by_day(ref('int_groups_deduplicated'), 'account_id') }}

),

intervals as (

    select
        account_id,
        trait,
        trait_value,
        row_date as valid_from,
        coalesce(
            {{ days_after(
                'lead(row_date) over (partition by account_id, trait order by row_date)', -1
            ) }},
            {{ as_of_date() }}
        ) as valid_to
    from traits

)

select * from intervals
