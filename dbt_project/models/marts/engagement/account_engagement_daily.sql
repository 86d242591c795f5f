-- One row per score model, account and day from first seen to the as-of date on which the account
-- is scored.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_account_scores',
        'restated_on': {'account_id': 'account_id', 'date': 'date_day'},
    }
) }}
with

points as (

    select *
    from {{ ref('int_account_points') }}
    where true {{ and_restated('int_restated_account_scores', ['account_id', 'date_day']) }}

),

benchmarks as (

    select * from {{ ref('int_account_benchmarks') }}

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
