-- One row per account, user (null: unknown), event key and day with events.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_cells',
        'restated_on': {
            'account_id': 'account_id', "coalesce(user_id, '')": 'user_id', 'event_date': 'event_date'
        }
    }
) }}
{#- Of all days no common table expression: what two read would be written down whole. -#}
{%- set event_days = 'event_days' if restating() else ref('int_event_days') ~ ' as event_days' %}
{%- set keyed_days -%}
    (
        select
            event_days.account_id,
            event_days.user_id,
            key_sets.event_key,
            key_sets.feature,
            key_sets.set_count,
            event_days.event_count,
            event_days.event_date
        from {{ event_days }}
        inner join key_sets on event_days.key_set = key_sets.key_set
    ) as keyed_days
{%- endset %}
with

{%- if restating() %}

event_days as (

    select *
    from {{ ref('int_event_days') }}
    where true {{ and_restated_cells() }}

),
{%- endif %}

key_sets as (

    select *, count(*) over (partition by event_key) as set_count
    from {{ ref('int_key_sets') }}

),

counted as (

    -- of a key that is in one set each day has one row already
    select account_id, user_id, event_key, feature, event_count, event_date
    from {{ keyed_days }}
    where set_count = 1

    union all

    select
        account_id,
        user_id,
        event_key,
        feature,
        cast(sum(event_count) as bigint) as event_count,
        event_date
    from {{ keyed_days }}
    where set_count > 1
    group by account_id, user_id, event_key, feature, event_date

),

-- so that who asks for some days need not read all
by_day as (

    select * from counted {{ 'order by event_date' if not restating() }}

)

select * from by_day
