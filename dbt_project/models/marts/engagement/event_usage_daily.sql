-- One row per account, known user, event key and day with events.
with

event_key_days as (

    select * from {{ ref('int_event_key_days') }}

),

usage as (

    select
        account_id,
        user_id,
        event_key,
        feature,
        cast(event_count as bigint) as event_count,
        event_date as {{ adapter.quote('date') }}
    from event_key_days
    where user_id is not null

)

select * from usage
