-- One row per account and feature of the tracked events, used or not.
with

accounts as (

    select * from {{ ref('int_accounts') }}

),

tracked_events as (

    select * from {{ ref('tracked_events') }}

),

features as (

    select distinct feature from tracked_events where feature is not null

),

summed as (

    select
        account_id,
        feature,
        sum(event_count) as event_count_30d,
        count(distinct user_id) as user_count_30d,
        count(distinct event_date) as active_day_count_30d
    from {{ ref('int_event_key_days') }}
    where
        user_id is not null
        and feature is not null
        and event_date > {{ days_after(as_of_date(), -30) }}
    group by 1, 2

),

last_used as (

    select account_id, feature, max(event_date) as last_used_date
    from {{ ref('int_event_key_days') }}
    where user_id is not null and feature is not null
    group by 1, 2

),

feature_usage as (

    select
        accounts.account_id,
        features.feature,
        cast(coalesce(summed.event_count_30d, 0) as bigint) as event_count_30d,
        coalesce(summed.user_count_30d, 0) as user_count_30d,
        coalesce(summed.active_day_count_30d, 0) as active_day_count_30d,
        last_used.last_used_date
    from accounts
    cross join features
    left join summed
        on accounts.account_id = summed.account_id and features.feature = summed.feature
    left join last_used
        on accounts.account_id = last_used.account_id and features.feature = last_used.feature

)

select * from feature_usage
