-- One row per id of track calls to judge anew: delivered since the last run, due since then, or of
-- an entity that is excluded from now on or no longer.
{%- if not restating() %}
select event_id from {{ ref('stg_tracks') }} where false
{%- else %}
with

delivered as (

    select * from {{ ref('stg_tracks') }} where {{ was_delivered('load_id') }}

),

exclusions_changed as (

    {{ changed_rows('int_excluded_entities', ['entity', 'entity_id']) }}

),

-- the table is named three times: a common table expression would be written down whole
restated as (

    select event_id from delivered where event_id is not null

    union

    select event_id
    from {{ left_by_last_run('int_tracks_screened') }}
    where fate = 'waiting' and event_date <= {{ as_of_date() }}

    union

    select event_id
    from {{ left_by_last_run('int_tracks_screened') }}
    where
        user_id in (select entity_id from exclusions_changed where entity = 'user')
        and event_id is not null

    union

    select event_id
    from {{ left_by_last_run('int_tracks_screened') }}
    where
        account_id in (select entity_id from exclusions_changed where entity = 'account')
        and event_id is not null

)

select * from restated
{%- endif %}
