-- One row per account, trait and stretch of days in which the trait has one value.
with

intervals as (

    {{ trait_intervals(
        traits_by_day(ref('int_groups_deduplicated'), 'account_id'), 'account_id'
    ) }}

)

select * from intervals
