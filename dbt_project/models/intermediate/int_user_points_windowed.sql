-- One row per score model, account, user and scored day on which the user is a member: points of the trailing window.
with

members as (

    select * from {{ ref('int_membership_intervals') }}

),

point_days as (

    select * from {{ ref('int_point_days') }}

),

score_models as (

    select * from {{ ref('score_models') }}

),

scored_days as (

    select * from {{ ref('int_scored_account_days') }}

),

member_days as (

    select
        account_id,
        user_id,
        {{ each_day('valid_from', 'valid_to') }} as date_day
    from members

),

-- points enter the window on their day and leave it window_days later
movements as (

    select
        score_models.score_model,
        member_days.account_id,
        member_days.user_id,
        member_days.date_day,
        0 as event_count,
        0 as day_points,
        0 as points_moved,
        0 as active_days_moved,
        1 as is_member
    from member_days
    cross join score_models

    union all

    select
        score_model,
        account_id,
        user_id,
        event_date as date_day,
        event_count,
        day_points,
        day_points as points_moved,
        1 as active_days_moved,
        0 as is_member
    from point_days

    union all

    select
        point_days.score_model,
        point_days.account_id,
        point_days.user_id,
        {{ days_after('point_days.event_date', 'score_models.window_days') }} as date_day,
        0 as event_count,
        0 as day_points,
        -point_days.day_points as points_moved,
        -1 as active_days_moved,
        0 as is_member
    from point_days
    inner join score_models on point_days.score_model = score_models.score_model

),

daily as (

    select
        score_model,
        account_id,
        user_id,
        date_day,
        sum(event_count) as event_count,
        sum(day_points) as day_points,
        sum(points_moved) as points_moved,
        sum(active_days_moved) as active_days_moved,
        max(is_member) as is_member
    from movements
    group by 1, 2, 3, 4

),

windowed as (

    select
        *,
        sum(points_moved) over (
            partition by score_model, account_id, user_id
            order by date_day
            rows between unbounded preceding and current row
        ) as engagement_points,
        sum(active_days_moved) over (
            partition by score_model, account_id, user_id
            order by date_day
            rows between unbounded preceding and current row
        ) as active_day_count
    from daily

),

scored as (

    select
        windowed.score_model,
        windowed.account_id,
        windowed.user_id,
        scored_days.curve,
        cast(windowed.event_count as bigint) as event_count,
        cast(windowed.day_points as decimal(18, 4)) as day_points,
        cast(windowed.engagement_points as decimal(18, 4)) as engagement_points,
        cast(windowed.active_day_count as bigint) as active_day_count,
        scored_days.is_default_model,
        windowed.date_day
    from windowed
    inner join scored_days
        on
            windowed.score_model = scored_days.score_model
            and windowed.account_id = scored_days.account_id
            and windowed.date_day = scored_days.date_day
    where windowed.is_member = 1

)

select * from scored
