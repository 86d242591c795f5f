-- One row per score model and member scored on the as-of date.
with

score_models as (

    select * from {{ ref('score_models') }}

),

daily as (

    select * from {{ ref('user_engagement_daily') }} where date = {{ as_of_date() }}

),

before as (

    select *
    from {{ ref('user_engagement_daily') }}
    where date in (select {{ days_after(as_of_date(), '-window_days') }} from score_models)

),

compared as (

    select
        daily.*,
        before.engagement_score as score_before,
        {{ score('daily.engagement_points', 'before.benchmark_points', 'score_models.curve') }}
            as score_at_old_benchmark
    from daily
    inner join score_models on daily.score_model = score_models.score_model
    left join before
        on
            daily.score_model = before.score_model
            and daily.account_id = before.account_id
            and daily.user_id = before.user_id
            and before.date = {{ days_after('daily.date', '-score_models.window_days') }}

),

changed as (

    select
        *,
        engagement_score - score_before as score_change,
        case when score_before is not null then score_at_old_benchmark - score_before end
            as score_change_behaviour
    from compared

),

current_day as (

    select
        score_model,
        account_id,
        user_id,
        case
            when score_change >= 10 then 'red_hot'
            when score_change <= -10 then 'ice_cold'
            when score_change is not null then 'steady'
        end as temperature,
        case
            when engagement_score >= 75 then 'most'
            when engagement_score >= 50 then 'moderate'
            when engagement_score >= 25 then 'passive'
            else 'least'
        end as engagement_level,
        event_count,
        day_points,
        engagement_points,
        engagement_score,
        active_day_count,
        benchmark_points,
        benchmark_population_count,
        cast(score_change as decimal(18, 6)) as score_change,
        cast(score_change_behaviour as decimal(18, 6)) as score_change_behaviour,
        cast(score_change - score_change_behaviour as decimal(18, 6)) as score_change_benchmark,
        is_benchmark_thin,
        is_active,
        is_default_model,
        date as as_of_date
    from changed

)

select * from current_day
