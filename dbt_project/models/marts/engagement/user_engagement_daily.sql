-- One row per score model, account, user and day on which the user is a member of the scored
-- account.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_user_scores',
        'restated_on': {'account_id': 'account_id', 'user_id': 'user_id', 'date': 'date_day'},
    }
) }}
with

points as (

    select *
    from {{ ref('int_user_points_windowed') }}
    where true {{ and_restated('int_restated_user_scores', ['account_id', 'user_id', 'date_day']) }}

),

benchmarks as (

    select * from {{ ref('int_user_benchmarks') }}

),

scored as (

    select
        points.score_model,
        points.account_id,
        points.user_id,
        points.event_count,
        points.day_points,
        points.engagement_points,
        {{ score('points.engagement_points', 'benchmarks.benchmark_points', 'points.curve') }}
            as engagement_score,
        points.active_day_count,
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
