-- One row per account and user (null: unknown) with events.
{{ config(materialized='incremental') }}
with

stretches as (

    select * from {{ ref('int_active_stretches') }}

),

counts as (

    {%- if restating() %}

    select account_id, user_id, event_count from {{ this }}

    union all

    select account_id, user_id, -event_count as event_count
    from {{ superseded('int_event_days') }}

    union all

    {%- endif %}

    select account_id, user_id, event_count
    from {{ ref('int_event_days') }}
    where true {{ and_restated_cells() }}

),

summed as (

    select
        account_id,
        user_id,
        cast(sum(event_count) as bigint) as event_count
    from counts
    group by account_id, user_id

),

seen as (

    select
        account_id,
        user_id,
        min(first_event_date) as first_event_date,
        max(last_event_date) as last_event_date
    from stretches
    group by account_id, user_id

),

active as (

    select
        seen.account_id,
        seen.user_id,
        summed.event_count,
        seen.first_event_date,
        seen.last_event_date
    from seen
    inner join summed
        on
            seen.account_id = summed.account_id
            and coalesce(seen.user_id, '') = coalesce(summed.user_id, '')

)

select * from active
