-- One row per score model, account scored on the as-of date and event key with points in the window
-- or the window before.
with

points as (

    select * from {{ ref('int_points_by_key') }}

),

score_models as (

    select * from {{ ref('score_models') }}

),

accounts as (

    select * from {{ ref('account_engagement') }}

),

range as (

    select {{ each_day(
        days_after(as_of_date(), '1 - 2 * max(window_days)'), as_of_date()
    ) }} as date_day
    from score_models

),

windows as (

    select
        points.*,
        points.event_date > {{ days_after(as_of_date(), '-score_models.window_days') }} as is_now
    from points
    inner join score_models on points.score_model = score_models.score_model
    where
        points.event_date in (select date_day from range)
        and points.event_date > {{ days_after(as_of_date(), '-2 * score_models.window_days') }}

),

by_user as (

    select
        score_model,
        account_id,
        user_id,
        event_key,
        feature,
        sum(case when is_now then day_points else 0 end) as engagement_points,
        sum(case when is_now then 0 else day_points end) as points_before,
        max(case when is_now then 1 else 0 end) as is_now
    from windows
    group by 1, 2, 3, 4, 5

),

summed as (

    select
        score_model,
        account_id,
        event_key,
        feature,
        sum(engagement_points) as engagement_points,
        sum(points_before) as points_before,
        sum(is_now) as user_count
    from by_user
    group by 1, 2, 3, 4

),

drivers as (

    select
        summed.score_model,
        summed.account_id,
        summed.event_key,
        summed.feature,
        cast(summed.engagement_points as decimal(18, 4)) as engagement_points,
        cast(summed.points_before as decimal(18, 4)) as points_before,
        cast(summed.engagement_points - summed.points_before as decimal(18, 4)) as points_change,
        {{ exact_ratio(
            wide(in_units('summed.engagement_points')),
            in_units('accounts.engagement_points')
        ) }} as points_share,
        cast(summed.user_count as bigint) as user_count,
        accounts.is_default_model
    from summed
    inner join accounts
        on summed.score_model = accounts.score_model and summed.account_id = accounts.account_id

)

select * from drivers
