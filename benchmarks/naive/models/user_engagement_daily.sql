-- One row per account, user and day on which the user is a member.
with

signs as (

    select account_id, user_id, event_date as seen_date
    from {{ ref('events') }}
    where user_id is not null

    union

    select account_id, user_id, cast(min(row_at) as date) as seen_date
    from {{ ref('groups') }}
    where user_id is not null
    group by 1, 2

),

-- every sign makes 90 days
days as (

    select distinct
        account_id,
        user_id,
        cast(unnest(generate_series(
            seen_date, least(seen_date + 89, {{ as_of() }}), interval 1 day
        )) as date) as "date"
    from signs

),

points as (

    select
        days.account_id,
        days.user_id,
        days.date,
        coalesce(sum(point_days.day_points), 0) as engagement_points,
        coalesce(sum(case when point_days.event_date = days.date then point_days.event_count end), 0)
            as event_count
    from days
    left join {{ ref('point_days') }} as point_days
        on
            days.account_id = point_days.account_id
            and days.user_id = point_days.user_id
            and point_days.event_date between days.date - 29 and days.date
    group by 1, 2, 3

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
