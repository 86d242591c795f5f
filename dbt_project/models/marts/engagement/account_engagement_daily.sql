-- One row per score model, account and day from first seen to the as-of date on which the account
-- is scored.
with

scored_days as (

    select * from {{ ref('int_scored_account_days') }}

),

users as (

    select * from {{ ref('user_engagement_daily') }}

),

score_models as (

    select * from {{ ref('score_models') }}

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

),

benchmarks as (

    select
        score_model,
        date_day,
        {{ percentile_90('engagement_points') }} as benchmark_points,
        count(*) as benchmark_population_count
    from points
    where engagement_points > 0
    group by 1, 2

),

scored as (

    select
        points.score_model,
        points.account_id,
        points.account_status,
        points.plan,
        cast(points.event_count as bigint) as event_count,
        cast(points.day_points as decimal(18, 4)) as day_points,
        cast(points.engagement_points as decimal(18, 4)) as engagement_points,
        {{ score('points.engagement_points', 'benchmarks.benchmark_points', 'points.curve') }}
            as engagement_score,
        cast(
            round(
                cast(points.active_score / nullif(points.active_user_count, 0) as decimal(18, 12)),
                6
            )
            as decimal(18, 6)
        ) as engagement_score_avg,
        points.user_count,
        points.active_user_count,
        {{ exact_ratio('points.active_user_count', 'points.user_count') }} as active_user_rate,
        {{ exact_ratio(wide('points.top_units'), 'points.engagement_units') }} as top_user_share,
        {{ exact_ratio(
            wide('points.engagement_units') ~ ' * points.engagement_units', 'points.squared_units'
        ) }}
            as effective_user_count,
        benchmarks.benchmark_points,
        coalesce(benchmarks.benchmark_population_count, 0) as benchmark_population_count,
        coalesce(benchmarks.benchmark_population_count, 0) < 10 as is_benchmark_thin,
        points.engagement_points > 0 as is_active,
        points.is_default_model,
        points.date_day as {{ adapter.quote('date') }}
    from points
    left join benchmarks
        on
            points.score_model = benchmarks.score_model
            and points.date_day = benchmarks.date_day

)

select * from scored
