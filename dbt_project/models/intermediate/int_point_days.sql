-- One row per score model, account, known user and day with points; each event is counted once,
-- before caps.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_cells', 'restated_on': ['account_id', 'user_id', 'event_date']
    }
) }}
with

points_by_key as (

    select *
    from {{ ref('int_points_by_key') }}
    where true {{ and_restated('int_restated_cells', ['account_id', 'user_id', 'event_date']) }}

),

event_days as (

    select *
    from {{ ref('int_event_days') }}
    where
        user_id is not null
        {{ and_restated('int_restated_cells', ['account_id', 'user_id', 'event_date']) }}

),

key_sets as (

    select * from {{ ref('int_key_sets') }}

),

weights as (

    select * from {{ ref('engagement_weights') }}

),

dates as (

    select distinct event_date
    from {{ ref('int_event_days') }}
    where true {{ and_restated('int_restated_cells', ['event_date']) }}

),

scored_key_sets as (

    select distinct
        weights.score_model,
        key_sets.key_set,
        dates.event_date
    from weights
    inner join key_sets on weights.event_key = key_sets.event_key
    inner join dates
        on
            dates.event_date >= coalesce(weights.valid_from, dates.event_date)
            and dates.event_date <= coalesce(weights.valid_to, dates.event_date)

),

amounts as (

    select
        score_model,
        account_id,
        user_id,
        0 as event_count,
        day_points,
        event_date
    from points_by_key

    union all

    select
        scored_key_sets.score_model,
        event_days.account_id,
        event_days.user_id,
        event_days.event_count,
        0 as day_points,
        event_days.event_date
    from event_days
    inner join scored_key_sets
        on
            event_days.key_set = scored_key_sets.key_set
            and event_days.event_date = scored_key_sets.event_date

),

point_days as (

    select
        score_model,
        account_id,
        user_id,
        cast(sum(event_count) as bigint) as event_count,
        cast(sum(day_points) as decimal(18, 4)) as day_points,
        event_date
    from amounts
    group by score_model, account_id, user_id, event_date

)

select * from point_days
