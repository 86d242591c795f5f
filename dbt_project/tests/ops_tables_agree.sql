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

),

differing as (

    select * from counts where counted <> listed

)

select * from differing
