-- One row per as-of date: every row of tracks received so far, by what became of it.
{{ config(materialized='incremental', unique_key='as_of_date', on_schema_change='fail') }} -- earlier as-of dates stay as they were counted
with

tracks as (

    select * from {{ ref('int_tracks_screened') }}

),

deduplicated as (

    select count(*) as event_count from {{ ref('int_tracks_deduplicated') }}

),

excluded as (

    select * from {{ ref('int_excluded_entities') }}

),

events as (

    select * from {{ ref('int_events_attributed') }}

),

fates as (

    select
        case
            when quarantine_reason is not null then quarantine_reason
            when event_date > {{ as_of_date() }} then 'waiting'
            when user_id in (select entity_id from excluded where entity = 'user') then 'excluded'
            when account_id in (select entity_id from excluded where entity = 'account') then 'excluded'
            else 'remaining'
        end as fate
    from tracks

),

received as (

    select
        count(*) as received_count,
        {%- for reason in ['missing_id', 'missing_event', 'bad_timestamp', 'no_identity'] %}
        count(case when fate = '{{ reason }}' then 1 end) as quarantined_{{ reason }}_count,
        {%- endfor %}
        count(case when fate = 'excluded' then 1 end) as excluded_count,
        count(case when fate = 'waiting' then 1 end) as waiting_count,
        count(case when fate = 'remaining' then 1 end) as remaining_count
    from fates

),

counted as (

    select
        count(*) as counted_count,
        count(case when is_late then 1 end) as late_count,
        count(case when account_id is null then 1 end) as unattributed_count,
        count(case when is_ambiguous_account then 1 end) as ambiguous_account_count,
        count(case when key_set is null then 1 end) as unmapped_count,
        count(case when has_bad_properties then 1 end) as bad_properties_count
    from events

),

quality as (

    select
        received.received_count,
        counted.counted_count,
        received.remaining_count - deduplicated.event_count as duplicate_count,
        received.quarantined_missing_id_count,
        received.quarantined_missing_event_count,
        received.quarantined_bad_timestamp_count,
        received.quarantined_no_identity_count,
        received.excluded_count,
        deduplicated.event_count - counted.counted_count as anonymous_count,
        received.waiting_count,
        counted.late_count,
        counted.unattributed_count,
        counted.ambiguous_account_count,
        counted.unmapped_count,
        counted.bad_properties_count,
        {{ as_of_date() }} as as_of_date
    from received
    cross join deduplicated
    cross join counted

)

select * from quality
