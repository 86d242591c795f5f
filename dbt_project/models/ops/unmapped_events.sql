-- One row per event name that counts but matches no tracked event.
with

events as (

    select * from {{ ref('int_events_attributed') }}

),

unmapped as (

    select
        event_name,
        count(*) as event_count,
        min(event_date) as first_seen_date,
        max(event_date) as last_seen_date
    from events
    where key_set is null and coalesce(user_id, account_id) is not null
    group by 1

)

select * from unmapped
