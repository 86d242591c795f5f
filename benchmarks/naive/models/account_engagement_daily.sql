-- One row per account and day from first seen to the as-of date.
with

signs as (

    select account_id, event_date as seen_date from {{ ref('events') }}

    union all

    select account_id, cast(row_at as date) as seen_date from {{ ref('groups') }}

),

days as (

    select
        account_id,
        cast(unnest(generate_series(min(seen_date), {{ as_of() }}, interval 1 day)) as date) as "date"
    from signs
    group by 1

),

points as (

    select
        days.account_id,
        days.date,
        coalesce(sum(users.event_count), 0) as event_count,
        coalesce(sum(users.engagement_points), 0) as engagement_points,
        count(users.user_id) as user_count,
        count(case when users.engagement_points > 0 then 1 end) as active_user_count
    from days
    left join {{ ref('user_engagement_daily') }} as users
        on days.account_id = users.account_id and days.date = users.date
    group by 1, 2

),

benchmarks as (

    select "date", round(quantile_cont(cast(engagement_points as double), 0.9), 6) as benchmark_points
    from points
    where engagement_points > 0
    group by 1

)

select
    'default' as score_model,
    points.*,
    benchmarks.benchmark_points,
    round(
        coalesce(100 * (1 - power(10, -points.engagement_points / benchmarks.benchmark_points)), 0), 6
    ) as engagement_score
from points
left join benchmarks on points.date = benchmarks.date
