-- One row per load, event name, fate (of kept calls: counted or anonymous), lateness, what is
-- missing and day of track calls. A run adds and takes away what it judged or attributed anew.
{{ config(materialized='incremental') }}
{%- set everything = owned_tracks(ref('int_tracks_screened'), ref('int_resolved_events')) %}
{%- set keys = [
    'load_id', 'event_name', 'fate', 'late_days', 'is_unattributed', 'is_ambiguous_account',
    'is_unmapped', 'has_bad_properties', 'event_date',
] | join(', ') %}
with

tracks as (

    {%- if restating() %}

    select * from {{ ref('int_event_changes') }}

    {%- else %}

    select *, 1 as delta from ({{ everything }}) as judged
    {%- endif %}

),

told as (

    select
        load_id,
        event_name,
        case
            when fate <> 'kept' then fate
            when coalesce(user_id, account_id) is null then 'anonymous'
            else 'counted'
        end as fate,
        case when fate = 'kept' then late_days end as late_days,
        account_id is null as is_unattributed,
        is_ambiguous_account,
        key_set is null as is_unmapped,
        has_bad_properties,
        event_date,
        delta
    from tracks

),

counts as (

    select {{ keys }}, sum(delta) as event_count
    from told
    group by {{ keys }}
    {%- if restating() %}

    union all

    select {{ keys }}, event_count
    from {{ this }}
    {%- endif %}

),

tallies as (

    select {{ keys }}, cast(sum(event_count) as bigint) as event_count
    from counts
    group by {{ keys }}
    having sum(event_count) <> 0

)

select * from tallies
