-- One row per score model, account and day on which it is scored: what its members' points and
-- scores add up to.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_account_days', 'restated_on': ['account_id', 'date_day']
    }
) }}
with

scored_stretches as (

    select * from {{ ref('int_scored_account_stretches') }}

),

users as (

    select *
    from {{ ref('user_engagement_daily') }}
    where
        true
        {{ and_restated(
            'int_restated_account_days', ['account_id', 'date'], ['account_id', 'date_day']
        ) }}

),

score_models as (

    select * from {{ ref('score_models') }}

),

scored_days as (

    {%- if restating() %}

    select scored_stretches.*, restated.date_day
    from scored_stretches
    inner join {{ ref('int_restated_account_days') }} as restated
        on
            scored_stretches.account_id = restated.account_id
            and restated.date_day between scored_stretches.valid_from and scored_stretches.valid_to

    {%- else %}

    select *, {{ each_day('valid_from', 'valid_to') }} as date_day from scored_stretches
    {%- endif %}

),

-- a mean is taken of exact scores and rounded once
summed as (

    select
        users.score_model,
        users.account_id,
        users.date as date_day,
        sum(users.event_count) as event_count,
        sum(users.day_points) as day_points,
        sum(users.engagement_points) as engagement_points,
        sum(
            {{ wide(in_units('users.engagement_points')) }}
            * {{ in_units('users.engagement_points') }}
        ) as squared_units,
        max({{ in_units('users.engagement_points') }}) as top_units,
        sum(
            case
                when users.is_active
                    then {{ unrounded_score(
                        'users.engagement_points', 'users.benchmark_points', 'score_models.curve'
                    ) }}
            end
        ) as active_score,
        count(*) as user_count,
        count(case when users.is_active then 1 end) as active_user_count
    from users
    inner join score_models on users.score_model = score_models.score_model
    group by 1, 2, 3

),

points as (

    select
        scored_days.score_model,
        scored_days.account_id,
        scored_days.account_status,
        scored_days.plan,
        scored_days.curve,
        coalesce(summed.event_count, 0) as event_count,
        coalesce(summed.day_points, 0) as day_points,
        coalesce(summed.engagement_points, 0) as engagement_points,
        coalesce({{ in_units('summed.engagement_points') }}, 0) as engagement_units,
        summed.squared_units,
        summed.top_units,
        summed.active_score,
        coalesce(summed.user_count, 0) as user_count,
        coalesce(summed.active_user_count, 0) as active_user_count,
        scored_days.is_default_model,
        scored_days.date_day
    from scored_days
    left join summed
        on
            scored_days.score_model = summed.score_model
            and scored_days.account_id = summed.account_id
            and scored_days.date_day = summed.date_day

)

select * from points
