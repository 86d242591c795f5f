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
{%- set counts = {} %}
{%- for fate in [
    'counted', 'duplicate', 'missing_id', 'missing_event', 'bad_timestamp', 'no_identity',
    'excluded', 'anonymous', 'waiting',
] %}
{%- do counts.update({fate: "fate = '" ~ fate ~ "'"}) %}
{%- endfor %}
{%- for name, condition in {
    'late': 'late_days > 0', 'unattributed': 'is_unattributed',
    'ambiguous_account': 'is_ambiguous_account', 'unmapped': 'is_unmapped',
    'bad_properties': 'has_bad_properties',
}.items() %}
{%- do counts.update({name: "fate = 'counted' and " ~ condition}) %}
{%- endfor %}
{%- for band, (least_days, most_days) in late_bands.items() %}
{%- do counts.update(
    {band: "fate = 'counted' and late_days between " ~ least_days ~ ' and ' ~ most_days}
) %}
{%- endfor %}
with

tallies as (

    select * from {{ ref('int_event_tallies') }}

),

groups as (

    select * from {{ ref('int_groups_deduplicated') }}

),

gaps as (

    select count(case when is_collapsed then 1 end) as gap_day_count
    from {{ ref('int_fleet_days') }}

),

counted as (

    select
        {%- for name, condition in counts.items() %}
        {{ total('event_count', condition) }} as {{ name }}_count,
        {%- endfor %}
        {{ total('event_count', 'true') }} as received_count
    from tallies

),

ignored as (

    select count(*) as ignored_status_count
    from groups
    where {{ account_status('trait_status') }} not in ('paid', 'trial', 'canceled')

),

quality as (

    select
        counted.received_count,
        counted.counted_count,
        counted.duplicate_count,
        counted.missing_id_count as quarantined_missing_id_count,
        counted.missing_event_count as quarantined_missing_event_count,
        counted.bad_timestamp_count as quarantined_bad_timestamp_count,
        counted.no_identity_count as quarantined_no_identity_count,
        counted.excluded_count,
        counted.anonymous_count,
        counted.waiting_count,
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
    from counted
    cross join ignored
    cross join gaps

)

select * from quality
