-- One row per day from the first points to the as-of date: how many users were active, what share
-- that is of those to be expected, and whether it is a collapse.
with

point_days as (

    select * from {{ ref('int_point_days') }} where score_model = 'default'

),

active as (

    select
        event_date as date_day,
        count(*) as active_user_count
    from point_days
    group by 1

),

range as (

    select min(date_day) as first_date from active

),

spine as (

    select {{ each_day('first_date', as_of_date()) }} as date_day
    from range
    where first_date is not null

),

days as (

    select
        spine.date_day,
        coalesce(active.active_user_count, 0) as active_user_count
    from spine
    left join active on spine.date_day = active.date_day

),

-- the same weekday of the eight weeks before; half of them may themselves be missing
expected as (

    select
        days.date_day,
        median(earlier.active_user_count) as expected_user_count
    from days
    inner join days as earlier
        on
            days.date_day > earlier.date_day
            and {{ days_after('days.date_day', -56) }} <= earlier.date_day
            and {{ dbt.datediff('earlier.date_day', 'days.date_day', 'day') }} % 7 = 0
    group by 1
    having count(*) >= 4

),

judged as (

    select
        days.active_user_count,
        -- a median may end on a half
        {{ exact_ratio(
            '2 * days.active_user_count', 'cast(2 * expected.expected_user_count as bigint)'
        ) }} as active_user_share,
        coalesce(
            expected.expected_user_count >= {{ var('collapse_min_users') }}
            and days.active_user_count < {{ var('collapse_share') }} * expected.expected_user_count,
            false
        ) as is_collapsed,
        days.date_day
    from days
    left join expected on days.date_day = expected.date_day

)

select * from judged
