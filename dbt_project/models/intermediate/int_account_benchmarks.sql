-- One row per score model and day on which any account has points in the window.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_days', 'restated_on': ['date_day']}
) }}
with

points as (

    select *
    from {{ ref('int_account_points') }}
    where engagement_points > 0 {{ and_restated('int_restated_days', ['date_day']) }}

),

benchmarks as (

    select
        score_model,
        {{ percentile_90('engagement_points') }} as benchmark_points,
        count(*) as benchmark_population_count,
        date_day
    from points
    group by score_model, date_day

)

select * from benchmarks
