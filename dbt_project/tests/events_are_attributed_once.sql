-- One row per id of an event that is missing or stands there more than once.
with

events as (

    select *
    from {{ ref('int_events_attributed') }}
    where true {{ and_restated('int_reattributed_events', ['event_id']) }}

),

counted as (

    select event_id, count(*) as event_count from events group by 1

),

wrong as (

    select * from counted where event_id is null or event_count > 1

)

select * from wrong
