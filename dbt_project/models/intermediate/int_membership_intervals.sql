-- One row per account, user and unbroken stretch of days on which the user is a member.
{{ config(materialized='incremental') }}
with

event_days as (

    select * from {{ ref('int_event_days') }}

),

user_accounts as (

    select * from {{ ref('int_user_accounts') }}

),

signs as (

    select account_id, user_id, event_date as seen_date from event_days where user_id is not null
    union
    select account_id, user_id, joined_date as seen_date
    from user_accounts
    where joined_date is not null

),

compared as (

    select
        *,
        lag(seen_date) over (partition by account_id, user_id order by seen_date) as previous_date
    from signs

),

numbered as (

    select
        *,
        sum(
            case
                when previous_date is null then 1
                when seen_date > {{ days_after('previous_date', var('member_days')) }} then 1
                else 0
            end
        ) over (
            partition by account_id, user_id
            order by seen_date
            rows between unbounded preceding and current row
        ) as stretch_number
    from compared

),

intervals as (

    select
        account_id,
        user_id,
        min(seen_date) as valid_from,
        least(
            {{ days_after('max(seen_date)', var('member_days') - 1) }}, {{ as_of_date() }}
        ) as valid_to
    from numbered
    group by account_id, user_id, stretch_number

)

select * from intervals
