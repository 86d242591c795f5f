-- One row per set of event keys that events count for, and key in it.
with

events as (

    select distinct key_set from {{ ref('int_event_days') }} where key_set is not null

),

tracked_events as (

    select event_key, max(feature) as feature from {{ ref('tracked_events') }} group by 1

),

members as (

    select
        events.key_set,
        tracked_events.event_key,
        tracked_events.feature
    from events
    inner join tracked_events
        on instr('|' || events.key_set || '|', '|' || tracked_events.event_key || '|') > 0

)

select * from members
