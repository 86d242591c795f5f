-- One row per raw row that was set aside, with the first reason that fits.
{{ config(materialized='incremental', meta={'restated_on': ['load_id']}) }}
with

screened as (

    select row_position, fate as quarantine_reason
    from {{ renewed('int_tracks_screened') if restating() else ref('int_tracks_screened') }}
    where
        {{ was_delivered('load_id') }}
        and fate not in ('waiting', 'excluded', 'duplicate', 'kept')

),

-- raw rows are read where they stand; those without a place are judged once more
tracks as (

    select tracks.*, screened.quarantine_reason
    from {{ ref('stg_tracks') }} as tracks
    inner join screened on tracks.row_position = screened.row_position

    union all

    select *
    from (
        select *, {{ track_quarantine_reason() }} as quarantine_reason
        from {{ ref('stg_tracks') }}
        where row_position is null and {{ was_delivered('load_id') }}
    ) as judged
    where quarantine_reason is not null

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
