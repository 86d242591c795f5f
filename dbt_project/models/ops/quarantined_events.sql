-- One row per raw row that was set aside, with the first reason that fits.
{{ config(materialized='incremental', meta={'restated_on': ['load_id']}) }}
with

tracks as (

    select *, {{ track_quarantine_reason() }} as quarantine_reason
    from {{ ref('stg_tracks') }}
    where {{ was_delivered('load_id') }}

),

identifies as (

    select * from {{ ref('int_identifies_screened') }} where {{ was_delivered('load_id') }}

),

groups as (

    select * from {{ ref('int_groups_screened') }} where {{ was_delivered('load_id') }}

),

quarantined as (

    select
        'tracks' as source_table, event_id as row_id, user_id, anonymous_id, account_id, load_id,
        event_name, quarantine_reason as reason,
        coalesce(cast(event_time as {{ dbt.type_string() }}), unparsed) as time_text, received_at
    from tracks
    where quarantine_reason is not null

    union all

    select
        'identifies' as source_table, row_id, user_id, anonymous_id, null as account_id, load_id,
        null as event_name, quarantine_reason as reason, row_time_text as time_text, received_at
    from identifies
    where quarantine_reason is not null

    union all

    select
        'groups' as source_table, row_id, user_id, null as anonymous_id, account_id, load_id,
        null as event_name, quarantine_reason as reason, row_time_text as time_text, received_at
    from groups
    where quarantine_reason is not null

)

select * from quarantined
