-- One row per track call, with the first reason to quarantine it, if any.
{{ config(materialized='view') }} -- cheap per row; a table would copy the raw data
with

tracks as (

    select * from {{ ref('stg_tracks') }}

),

screened as (

    select
        *,
        case
            when event_id is null then 'missing_id'
            when event_name is null then 'missing_event'
            when {{ is_bad_timestamp('event_at', 'received_at') }} then 'bad_timestamp'
            when coalesce(user_id, anonymous_id, account_id) is null then 'no_identity'
        end as quarantine_reason,
        {{ reporting_date('event_at') }} as event_date
    from tracks

)

select * from screened
