-- One row per kept event, with its user and account (neither known: anonymous) and the set of event
-- keys that it counts for (null: untracked).
{{ config(materialized='view') }} -- most events say all of it themselves
with

tracks as (

    {{ owned_tracks(ref('int_tracks_screened'), ref('int_resolved_events')) }}

),

attributed as (

    select
        event_number,
        user_id,
        account_id,
        load_id,
        event_name,
        key_set,
        late_days,
        is_ambiguous_account,
        has_bad_properties,
        event_date
    from tracks
    where fate = 'kept'

)

select * from attributed
