-- One row per account, known user, event key and day with events.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_cells',
        'restated_on': {'account_id': 'account_id', 'date': 'event_date'},
    }
) }}
{%- set in_scope = and_restated('int_restated_cells', ['account_id', 'event_date'])
    ~ and_restated('int_restated_days', ['event_date'], ['date_day']) %}
with

event_key_days as (

    select *
    from {{ ref('int_event_key_days') }}
    where true {{ in_scope }}

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
