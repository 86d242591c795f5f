-- One row per account, user and day with points.
with

tracked_events as (

    select distinct event_key, event_name, property_name, property_value
    from {{ dial('tracked_events') }}

),

weights as (

    select
        event_key,
        cast(weight as decimal(18, 4)) as weight,
        cast(daily_cap as integer) as daily_cap,
        coalesce(cast(valid_from as date), date '1900-01-01') as valid_from,
        coalesce(cast(valid_to as date), date '2200-01-01') as valid_to
    from {{ dial('engagement_weights') }}
    where score_model = 'default'

),

matched as (

    select distinct
        events.id, events.account_id, events.user_id, events.event_date,
        tracked_events.event_key, weights.weight, weights.daily_cap
    from {{ ref('events') }} as events
    inner join tracked_events
        on
            events.event = tracked_events.event_name
            and (
                tracked_events.property_name is null
                or json_extract_string(
                    case when json_valid(events.properties) then events.properties end,
                    '$."' || tracked_events.property_name || '"'
                ) = tracked_events.property_value
            )
    inner join weights
        on
            tracked_events.event_key = weights.event_key
            and events.event_date between weights.valid_from and weights.valid_to
    where events.user_id is not null

),

keys as (

    select
        account_id, user_id, event_date, event_key,
        least(count(*), any_value(daily_cap)) * any_value(weight) as day_points
    from matched
    group by 1, 2, 3, 4

),

points as (

    select account_id, user_id, event_date, sum(day_points) as day_points from keys group by 1, 2, 3

),

counts as (

    select account_id, user_id, event_date, count(distinct id) as event_count
    from matched
    group by 1, 2, 3

)

select * from points inner join counts using (account_id, user_id, event_date)
