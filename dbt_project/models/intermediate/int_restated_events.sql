-- The numbers of track calls to judge anew, some of them more than once: delivered since the last
-- run, due since then, of an entity that is excluded from now on or no longer, or of a name whose
-- event keys changed.
{%- if not restating() %}
select {{ event_number('event_id') }} as event_number from {{ ref('stg_tracks') }} where false
{%- else %}
with

delivered as (

    select * from {{ ref('stg_tracks') }} where {{ was_delivered('load_id') }}

),

exclusions_changed as (

    {{ changed_rows('int_excluded_entities', ['entity', 'entity_id']) }}

),

names_changed as (

    {{ changed_rows(
        'int_tracked_events', ['event_name'], ['event_key', 'property_name', 'property_value']
    ) }}

),

-- the table is named four times: a common table expression would be written down whole
reached as (

    select {{ event_number('event_id') }} as event_number from delivered

    union all

    select event_number
    from {{ left_by_last_run('int_tracks_screened') }}
    where fate = 'waiting' and event_date <= {{ as_of_date() }}

    union all

    select event_number
    from {{ left_by_last_run('int_tracks_screened') }}
    where user_id in (select entity_id from exclusions_changed where entity = 'user')

    union all

    select event_number
    from {{ left_by_last_run('int_tracks_screened') }}
    where account_id in (select entity_id from exclusions_changed where entity = 'account')

    union all

    select event_number
    from {{ left_by_last_run('int_tracks_screened') }}
    where event_name in (select event_name from names_changed)

),

restated as (

    select * from reached where event_number is not null

)

select * from restated
{%- endif %}
