-- One row per account, known user, event key and day with events.
{{ config(materialized='view') }} -- a table would repeat int_event_key_days
{%- do ref('int_restated_days') %}{# the days that are tested #}
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
        event_count,
        event_date as {{ adapter.quote('date') }}
    from event_key_days
    where user_id is not null

)

select * from usage
