-- One row per account, user (null: unknown), event key and day with events.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_cells', 'restated_on': ['account_id', 'event_date']}
) }}
with

event_days as (

    select *
    from {{ ref('int_event_days') }}
    where true {{ and_restated('int_restated_cells', ['account_id', 'event_date']) }}

),

key_sets as (

    select * from {{ ref('int_key_sets') }}

),

counted as (

    select
        event_days.account_id,
        event_days.user_id,
        key_sets.event_key,
        key_sets.feature,
        cast(sum(event_days.event_count) as bigint) as event_count,
        event_days.event_date
    from event_days
    inner join key_sets on event_days.key_set = key_sets.key_set
    group by
        event_days.account_id,
        event_days.user_id,
        key_sets.event_key,
        key_sets.feature,
        event_days.event_date

),

-- so that who asks for some days need not read all
by_day as (

    select * from counted {{ 'order by event_date' if not restating() }}

)

select * from by_day
