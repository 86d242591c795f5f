-- One row per account, feature and day on which a known user used it.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_cells', 'restated_on': ['account_id', 'event_date']}
) }}
with

event_key_days as (

    select *
    from {{ ref('int_event_key_days') }}
    where
        user_id is not null
        and feature is not null
        {{ and_restated('int_restated_cells', ['account_id', 'event_date']) }}

),

used as (

    select distinct account_id, feature, event_date from event_key_days

),

-- so that who asks for some days need not read all
by_day as (

    select * from used {{ 'order by event_date' if not restating() }}

)

select * from by_day
