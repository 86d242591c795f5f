-- One row per count of data quality that the table listing the rows or names behind it does not
-- give.
with

quality as (

    select * from {{ ref('data_quality') }} where as_of_date = {{ as_of_date() }}

),

quarantined as (

    select count(*) as row_count
    from {{ ref('quarantined_events') }}
    where source_table = 'tracks'

),

unmapped as (

    select coalesce(sum(event_count), 0) as event_count from {{ ref('unmapped_events') }}

),

deliveries as (

    select
        sum(received_count) as received_count,
        sum(counted_count) as counted_count,
        sum(duplicate_count) as duplicate_count,
        sum(quarantined_count) as quarantined_count,
        sum(excluded_count) as excluded_count,
        sum(anonymous_count) as anonymous_count,
        sum(waiting_count) as waiting_count
    from {{ ref('deliveries') }}

),

counts as (

    select
        'quarantined' as what,
        quality.quarantined_missing_id_count
        + quality.quarantined_missing_event_count
        + quality.quarantined_bad_timestamp_count
        + quality.quarantined_no_identity_count as counted,
        quarantined.row_count as listed
    from quality
    cross join quarantined

    union all

    select
        'unmapped' as what,
        quality.unmapped_count as counted,
        unmapped.event_count as listed
    from quality
    cross join unmapped

    {%- for fate in ['received', 'counted', 'duplicate', 'excluded', 'anonymous', 'waiting'] %}

    union all

    select
        'deliveries: {{ fate }}' as what,
        quality.{{ fate }}_count as counted,
        coalesce(deliveries.{{ fate }}_count, 0) as listed
    from quality
    cross join deliveries
    {%- endfor %}

    union all

    select
        'deliveries: quarantined' as what,
        quarantined.row_count as counted,
        coalesce(deliveries.quarantined_count, 0) as listed
    from quarantined
    cross join deliveries

),

differing as (

    select * from counts where counted <> listed

)

select * from differing
