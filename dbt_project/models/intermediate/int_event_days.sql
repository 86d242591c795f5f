-- One row per account, user (null: unknown), set of event keys (null: untracked) and day with
-- events.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_cells',
        'restated_on': {
            'account_id': 'account_id', "coalesce(user_id, '')": 'user_id', 'event_date': 'event_date'
        }
    }
) }}
with

events as (

    select * from {{ ref('int_events_attributed') }}

),

counted as (

    select
        account_id,
        user_id,
        key_set,
        count(*) as event_count,
        event_date
    from events
    where
        account_id is not null
        {{ and_restated_cells() }}
    group by account_id, user_id, key_set, event_date

),

-- so that who asks for some days need not read all
by_day as (

    select * from counted {{ 'order by event_date' if not restating() }}

)

select * from by_day
