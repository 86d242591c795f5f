-- One row per id of events to attribute anew: judged anew, of a device or user whose owner or
-- accounts changed, or of a name whose event keys changed.
{%- if not restating() %}
select event_id from {{ ref('int_tracks_screened') }} where false
{%- else %}
with

known as (

    select * from {{ left_by_last_run('int_events_attributed') }}

),

users_changed as (

    {{ changed_rows(
        'int_user_account_intervals', ['user_id'],
        ['account_id', 'has_several_accounts', 'valid_from', 'valid_before']
    ) }}

),

names_changed as (

    {{ changed_rows(
        'int_tracked_events', ['event_name'], ['event_key', 'property_name', 'property_value']
    ) }}

),

reattributed as (

    select event_id from {{ ref('int_restated_events') }}

    union

    select event_id
    from {{ ref('int_tracks_screened') }}
    where
        fate = 'kept'
        and user_id is null
        and anonymous_id in (select anonymous_id from {{ ref('int_restated_devices') }})

    union

    select event_id
    from known
    where is_account_inferred and user_id in (select user_id from users_changed)

    union

    select event_id
    from {{ ref('int_tracks_screened') }}
    where fate = 'kept' and event_name in (select event_name from names_changed)

)

select * from reattributed
{%- endif %}
