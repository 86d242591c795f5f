-- One row per account, user and unbroken stretch of days on which the user is a member.
{{ config(materialized='incremental') }}
with

active_stretches as (

    select * from {{ ref('int_active_stretches') }} where user_id is not null

),

user_accounts as (

    select * from {{ ref('int_user_accounts') }}

),

signs as (

    select account_id, user_id, first_event_date as first_date, last_event_date as last_date
    from active_stretches

    union all

    select account_id, user_id, joined_date as first_date, joined_date as last_date
    from user_accounts
    where joined_date is not null

),

compared as (

    select
        *,
        max(last_date) over (
            partition by account_id, user_id
            order by first_date, last_date
            rows between unbounded preceding and 1 preceding
        ) as previous_date
    from signs

),

numbered as (

    select
        *,
        sum(
            case
                when previous_date is null then 1
                when first_date > {{ days_after('previous_date', var('member_days')) }} then 1
                else 0
            end
        ) over (
            partition by account_id, user_id
            order by first_date, last_date
            rows between unbounded preceding and current row
        ) as stretch_number
    from compared

),

intervals as (

    select
        account_id,
        user_id,
        min(first_date) as valid_from,
        least(
            {{ days_after('max(last_date)', var('member_days') - 1) }}, {{ as_of_date() }}
        ) as valid_to
    from numbered
    group by account_id, user_id, stretch_number

)

select * from intervals
