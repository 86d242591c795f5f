-- One row per load of tracks: its rows by what became of them, as known on the as-of date.
with

tracks as (

    select * from {{ ref('int_tracks_screened') }}

),

events as (

    select * from {{ ref('int_events_attributed') }}

),

fates as (

    select
        load_id,
        case when fate in ('duplicate', 'excluded', 'waiting') then fate else 'quarantined' end
            as fate
    from tracks
    where fate <> 'kept'

    union all

    select
        load_id,
        case when coalesce(user_id, account_id) is null then 'anonymous' else 'counted' end as fate
    from events

),

deliveries as (

    select
        load_id,
        count(*) as received_count,
        count(case when fate = 'counted' then 1 end) as counted_count,
        count(case when fate = 'duplicate' then 1 end) as duplicate_count,
        count(case when fate = 'quarantined' then 1 end) as quarantined_count,
        count(case when fate = 'excluded' then 1 end) as excluded_count,
        count(case when fate = 'anonymous' then 1 end) as anonymous_count,
        count(case when fate = 'waiting' then 1 end) as waiting_count
    from fates
    group by 1

)

select * from deliveries
