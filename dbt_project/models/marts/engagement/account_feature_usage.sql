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

recent as (

    select *
    from {{ ref('int_event_key_days') }}
    where
        user_id is not null
        and feature is not null
        and event_date > {{ days_after(as_of_date(), -30) }}

),

by_user as (

    select account_id, feature, sum(event_count) as event_count
    from recent
    group by account_id, feature, user_id

),

used as (

    select
        account_id,
        feature,
        sum(event_count) as event_count_30d,
        count(*) as user_count_30d
    from by_user
    group by account_id, feature

),

active as (

    select
        account_id,
        feature,
        sum(
            case when event_date > {{ days_after(as_of_date(), -30) }} then 1 else 0 end
        ) as active_day_count_30d,
        max(event_date) as last_used_date
    from {{ ref('int_feature_days') }}
    group by account_id, feature

),

feature_usage as (

    select
        accounts.account_id,
        features.feature,
        cast(coalesce(used.event_count_30d, 0) as bigint) as event_count_30d,
        coalesce(used.user_count_30d, 0) as user_count_30d,
        cast(coalesce(active.active_day_count_30d, 0) as bigint) as active_day_count_30d,
        active.last_used_date
    from accounts
    cross join features
    left join used
        on accounts.account_id = used.account_id and features.feature = used.feature
    left join active
        on accounts.account_id = active.account_id and features.feature = active.feature

)

select * from feature_usage
