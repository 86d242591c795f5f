-- One row per as-of date: every row of tracks received so far, by what became of it.
-- Incremental: earlier as-of dates stay as they were counted.
{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='as_of_date',
    full_refresh=false
) }}
{%- set late_bands = {
    'late_1_to_7_days': (1, 7), 'late_8_to_30_days': (8, 30),
    'late_31_to_90_days': (31, 90), 'late_over_90_days': (91, 2147483647),
} %}
{%- set fates = [
    'missing_id', 'missing_event', 'bad_timestamp', 'no_identity',
    'waiting', 'excluded', 'duplicate',
] %}
with

tracks as (

    select * from {{ ref('int_tracks_screened') }}

),

groups as (

    select * from {{ ref('int_groups_deduplicated') }}

),

events as (

    select
        *,
        coalesce(user_id, account_id) is null as is_anonymous
    from {{ ref('int_events_attributed') }}

),

gaps as (

    select count(case when is_collapsed then 1 end) as gap_day_count
    from {{ ref('int_fleet_days') }}

),

received as (

    select
        {%- for fate in fates %}
        count(case when fate = '{{ fate }}' then 1 end) as {{ fate }}_count,
        {%- endfor %}
        count(*) as received_count
    from tracks

),

counted as (

    select
        count(case when is_anonymous then 1 end) as anonymous_count,
        count(case when not is_anonymous then 1 end) as counted_count,
        count(case when late_days > 0 and not is_anonymous then 1 end) as late_count,
        {%- for band, (least_days, most_days) in late_bands.items() %}
        count(
            case
                when
                    late_days between {{ least_days }} and {{ most_days }} and not is_anonymous
                    then 1
            end
        ) as {{ band }}_count,
        {%- endfor %}
        count(case when account_id is null and not is_anonymous then 1 end) as unattributed_count,
        count(case when is_ambiguous_account then 1 end) as ambiguous_account_count,
        count(case when key_set is null and not is_anonymous then 1 end) as unmapped_count,
        count(case when has_bad_properties and not is_anonymous then 1 end) as bad_properties_count
    from events

),

ignored as (

    select count(*) as ignored_status_count
    from groups
    where {{ account_status('trait_status') }} not in ('paid', 'trial', 'canceled')

),

quality as (

    select
        received.received_count,
        counted.counted_count,
        received.duplicate_count,
        received.missing_id_count as quarantined_missing_id_count,
        received.missing_event_count as quarantined_missing_event_count,
        received.bad_timestamp_count as quarantined_bad_timestamp_count,
        received.no_identity_count as quarantined_no_identity_count,
        received.excluded_count,
        counted.anonymous_count,
        received.waiting_count,
        counted.late_count,
        {%- for band in late_bands %}
        counted.{{ band }}_count,
        {%- endfor %}
        counted.unattributed_count,
        counted.ambiguous_account_count,
        counted.unmapped_count,
        counted.bad_properties_count,
        ignored.ignored_status_count,
        gaps.gap_day_count,
        {{ as_of_date() }} as as_of_date
    from received
    cross join counted
    cross join ignored
    cross join gaps

)

select * from quality
