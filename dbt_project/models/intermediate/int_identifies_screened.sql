-- One row per identify call, with the first reason to quarantine it, if any.
{{ config(materialized='view') }} -- cheap per row; a table would copy the raw data
with

identifies as (

    select * from {{ ref('stg_identifies') }}

),

screened as (

    select
        *,
        case
            when row_id is null then 'missing_id'
            when {{ is_bad_timestamp('row_at', 'received_at') }} then 'bad_timestamp'
            when coalesce(user_id, anonymous_id) is null then 'no_identity'
        end as quarantine_reason,
        {{ reporting_date('row_at') }} as row_date
    from identifies

)

select * from screened
