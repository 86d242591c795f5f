-- One row per score model, account, known user, event key and day with points.
{{ config(materialized='view') }} -- a table would repeat int_event_key_days
with

event_key_days as (

    select * from {{ ref('int_event_key_days') }}

),

weights as (

    select * from {{ ref('engagement_weights') }}

),

points as (

    select
        weights.score_model,
        event_key_days.account_id,
        event_key_days.user_id,
        event_key_days.event_key,
        event_key_days.feature,
        cast(
            least(
                event_key_days.event_count,
                coalesce(weights.daily_cap, event_key_days.event_count)
            ) * weights.weight
            as decimal(18, 4)
        ) as day_points,
        event_key_days.event_date
    from event_key_days
    inner join weights
        on
            event_key_days.event_key = weights.event_key
            and event_key_days.event_date >= coalesce(weights.valid_from, event_key_days.event_date)
            and event_key_days.event_date <= coalesce(weights.valid_to, event_key_days.event_date)
    where event_key_days.user_id is not null

)

select * from points
