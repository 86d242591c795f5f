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

stretches as (

    {{ joined_stretches(
        'signs', ['account_id', 'user_id'], 'first_date', 'last_date', var('member_days')
    ) }}

),

intervals as (

    select
        account_id,
        user_id,
        first_date as valid_from,
        least(
            {{ days_after('last_date', var('member_days') - 1) }}, {{ as_of_date() }}
        ) as valid_to
    from stretches

)

select * from intervals
