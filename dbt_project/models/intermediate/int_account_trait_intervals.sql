-- One row per account, trait and stretch of days in which the trait has one value.
with

intervals as (

    {{ trait_intervals(ref('int_groups_deduplicated'), 'account_id') }}

)

select * from intervals
