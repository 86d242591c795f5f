-- One row per account and feature of the tracked events, used or not.
with

accounts as (

    select * from {{ ref('int_accounts') }}

),

tracked_events as (

    select * from {{ ref('tracked_events') }}

),

event_key_days as (

    select * from {{ ref('int_event_key_days') }}

),

features as (

    select distinct feature from tracked_events where feature is not null

),

used as (

    select
        account_id,
        feature,
        user_id,
        event_count,
        event_date,
        event_date > {{ days_after(as_of_date(), -30) }} as is_recent
    from event_key_days
    where user_id is not null and feature is not null

),

summed as (

    select
        account_id,
        feature,
        sum(case when is_recent then event_count else 0 end) as event_count_30d,
        count(distinct case when is_recent then user_id end) as user_count_30d,
        count(distinct case when is_recent then event_date end) as active_day_count_30d,
        max(event_date) as last_used_date
    from used
    group by 1, 2

),

feature_usage as (

    select
        accounts.account_id,
        features.feature,
        cast(coalesce(summed.event_count_30d, 0) as bigint) as event_count_30d,
        coalesce(summed.user_count_30d, 0) as user_count_30d,
        coalesce(summed.active_day_count_30d, 0) as active_day_count_30d,
        summed.last_used_date
    from accounts
    cross join features
    left join summed
        on accounts.account_id = summed.account_id and features.feature = summed.feature

)

select * from feature_usage
