-- One row per event key, name of a raw event and condition on a property that makes it count.
{{ config(materialized='incremental') }}
with

tracked_events as (

    select * from {{ ref('tracked_events') }}

),

conditions as (

    select distinct event_key, event_name, property_name, property_value from tracked_events

)

select * from conditions
