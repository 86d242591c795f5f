-- One row per group call, with the first reason to quarantine it, if any.
{{ config(materialized='view') }} -- cheap per row; a table would copy the raw data
with

groups as (

    select * from {{ ref('stg_groups') }}

),

screened as (

    select
        *,
        case
            when row_id is null then 'missing_id'
            when account_id is null then 'missing_group'
            when {{ is_bad_timestamp('row_at', 'received_at') }} then 'bad_timestamp'
        end as quarantine_reason,
        {{ reporting_date('row_at') }} as row_date
    from groups

)

select * from screened
