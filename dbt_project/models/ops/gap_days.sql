-- One row per day on which so few users were active that the data is taken to have a gap.
with

gap_days as (

    select active_user_count, active_user_share, date_day as {{ adapter.quote('date') }}
    from {{ ref('int_fleet_days') }}
    where is_collapsed

)

select * from gap_days
