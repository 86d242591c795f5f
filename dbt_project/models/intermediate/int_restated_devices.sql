-- One row per anonymous id whose identification changed.
{%- if not restating() %}
select anonymous_id from {{ ref('int_identifies_screened') }} where false
{%- else %}
with

identifies as (

    select * from {{ ref('int_identifies_screened') }}

),

exclusions_changed as (

    {{ changed_rows('int_excluded_entities', ['entity', 'entity_id']) }}

),

events_before as (

    select anonymous_id, user_id, event_at
    from {{ superseded('int_tracks_screened') }}
    where fate = 'kept' and anonymous_id is not null and user_id is not null

),

events_now as (

    select anonymous_id, user_id, event_at
    from {{ renewed('int_tracks_screened') }}
    where fate = 'kept' and anonymous_id is not null and user_id is not null

),

known as (

    select * from {{ left_by_last_run('int_identity_intervals') }}

),

identifies_changed as (

    select row_id
    from identifies
    where
        {{ was_delivered('load_id') }}
        or row_date > {{ known_date() }}
        or user_id in (select entity_id from exclusions_changed where entity = 'user')

),

lost as (

    select * from events_before
    except
    select * from events_now

),

gained as (

    select * from events_now
    except
    select * from events_before

),

restated as (

    -- a copy that says no device may be the one that counts now
    select anonymous_id
    from identifies
    where anonymous_id is not null and row_id in (select row_id from identifies_changed)

    union

    select anonymous_id from lost

    union

    -- an event that says what was known anyhow changes nothing
    select gained.anonymous_id
    from gained
    left join known
        on
            gained.anonymous_id = known.anonymous_id
            and gained.user_id = known.user_id
            and gained.event_at >= known.valid_from
            and gained.event_at < known.valid_before
    where known.anonymous_id is null

)

select * from restated
{%- endif %}
