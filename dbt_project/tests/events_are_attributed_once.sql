-- One row per day with more, or less, attributed events than kept calls; those that name their user
-- and account are attributed as they are.
with

kept as (

    select event_date, count(*) as event_count
    from {{ ref('int_tracks_screened') }}
    where
        fate = 'kept'
        and (user_id is null or account_id is null)
        {{ and_restated('int_event_changes', ['event_date']) }}
    group by 1

),

attributed as (

    select event_date, count(*) as event_count
    from {{ ref('int_resolved_events') }}
    where true {{ and_restated('int_event_changes', ['event_date']) }}
    group by 1

),

wrong as (

    select
        coalesce(kept.event_date, attributed.event_date) as event_date,
        kept.event_count as kept_count,
        attributed.event_count as attributed_count
    from kept
    full outer join attributed on kept.event_date = attributed.event_date
    where coalesce(kept.event_count, 0) <> coalesce(attributed.event_count, 0)

)

select * from wrong
