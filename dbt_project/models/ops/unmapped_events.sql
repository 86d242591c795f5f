-- One row per event name that counts but matches no tracked event.
with

tallies as (

    select * from {{ ref('int_event_tallies') }} where fate = 'counted' and is_unmapped

),

tracked_names as (

    select distinct event_name from {{ ref('tracked_events') }}

),

unmapped as (

    select
        event_name,
        cast(sum(event_count) as bigint) as event_count,
        min(event_date) as first_seen_date,
        max(event_date) as last_seen_date
    from tallies
    group by 1

),

misspelled as (

    -- a tracked name that is unmapped failed a condition on its properties
    select unmapped.event_name
    from unmapped
    left join tracked_names on unmapped.event_name = tracked_names.event_name
    where tracked_names.event_name is null

),

compared as (

    select
        misspelled.event_name,
        tracked_names.event_name as tracked_name,
        {{ edit_distance('lower(misspelled.event_name)', 'lower(tracked_names.event_name)') }}
            as distance
    from misspelled
    cross join tracked_names

),

-- near: at most one letter in four differs
near as (

    select
        event_name,
        tracked_name,
        row_number() over (
            partition by event_name order by distance, tracked_name
        ) as nearness
    from compared
    where 4 * distance <= greatest(length(event_name), length(tracked_name))

),

proposed as (

    select
        unmapped.event_name,
        near.tracked_name as did_you_mean,
        unmapped.event_count,
        unmapped.first_seen_date,
        unmapped.last_seen_date
    from unmapped
    left join near on unmapped.event_name = near.event_name and near.nearness = 1

)

select * from proposed
