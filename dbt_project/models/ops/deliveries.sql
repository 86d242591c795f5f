-- One row per load of tracks: its rows by what became of them, as known on the as-of date.
with

tallies as (

    select
        *,
        fate in ('missing_id', 'missing_event', 'bad_timestamp', 'no_identity') as is_quarantined
    from {{ ref('int_event_tallies') }}

),

deliveries as (

    select
        load_id,
        {{ total('event_count', 'true') }} as received_count,
        {{ total('event_count', "fate = 'counted'") }} as counted_count,
        {{ total('event_count', "fate = 'duplicate'") }} as duplicate_count,
        {{ total('event_count', 'is_quarantined') }} as quarantined_count,
        {{ total('event_count', "fate = 'excluded'") }} as excluded_count,
        {{ total('event_count', "fate = 'anonymous'") }} as anonymous_count,
        {{ total('event_count', "fate = 'waiting'") }} as waiting_count
    from tallies
    group by 1

)

select * from deliveries
