-- One row per score model, account, known user and day with points; each event is counted once, before caps.
with

points_by_key as (

    select * from {{ ref('int_points_by_key') }}

),

event_days as (

    select * from {{ ref('int_event_days') }}

),

key_sets as (

    select * from {{ ref('int_key_sets') }}

),

points as (

    select
        score_model,
        account_id,
        user_id,
        event_date,
        sum(day_points) as day_points
    from points_by_key
    group by 1, 2, 3, 4

),

scored_key_sets as (

    select distinct
        points_by_key.score_model,
        points_by_key.account_id,
        points_by_key.user_id,
        points_by_key.event_date,
        key_sets.key_set
    from points_by_key
    inner join key_sets on points_by_key.event_key = key_sets.event_key

),

events as (

    select
        scored_key_sets.score_model,
        scored_key_sets.account_id,
        scored_key_sets.user_id,
        scored_key_sets.event_date,
        sum(event_days.event_count) as event_count
    from scored_key_sets
    inner join event_days
        on
            scored_key_sets.account_id = event_days.account_id
            and scored_key_sets.user_id = event_days.user_id
            and scored_key_sets.event_date = event_days.event_date
            and scored_key_sets.key_set = event_days.key_set
    group by 1, 2, 3, 4

),

point_days as (

    select
        points.score_model,
        points.account_id,
        points.user_id,
        events.event_count,
        points.day_points,
        points.event_date
    from points
    inner join events
        on
            points.score_model = events.score_model
            and points.account_id = events.account_id
            and points.user_id = events.user_id
            and points.event_date = events.event_date

)

select * from point_days
