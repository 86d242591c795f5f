-- One row per account, trait and stretch of days in which the trait has one value.
with

traits as (

    {{ traits_long(
        ref('int_groups_deduplicated'), ['account_id', 'row_id', 'row_at', 'row_date']
    ) }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by account_id, trait, row_date
            order by row_at desc, row_id desc
        ) as rank_of_day
    from traits
    where account_id is not null

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
    from ranked
    where rank_of_day = 1

)

select * from intervals
