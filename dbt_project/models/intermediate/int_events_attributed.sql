-- One row per kept event, with its user and account (neither known: anonymous) and the set of event
-- keys that it counts for (null: untracked).
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_reattributed_events', 'restated_on': ['event_id']}
) }}
with

tracks as (

    select *
    from {{ ref('int_tracks_screened') }}
    where fate = 'kept' {{ and_restated('int_reattributed_events', ['event_id']) }}

),

identities as (

    select * from {{ ref('int_identity_intervals') }}

),

accounts_joined as (

    select * from {{ ref('int_user_account_intervals') }}

),

tracked_events as (

    select * from {{ ref('int_tracked_events') }}

),

identified as (

    select
        tracks.event_id,
        tracks.event_name,
        tracks.properties,
        tracks.account_id,
        tracks.load_id,
        tracks.event_date,
        tracks.event_at,
        tracks.received_at,
        coalesce(tracks.user_id, identities.user_id) as user_id
    from tracks
    left join identities
        on
            tracks.user_id is null
            and tracks.anonymous_id = identities.anonymous_id
            and tracks.event_at >= identities.valid_from
            and tracks.event_at < identities.valid_before

),

located as (

    select
        identified.event_id,
        identified.event_name,
        identified.properties,
        identified.user_id,
        identified.load_id,
        identified.event_date,
        identified.received_at,
        coalesce(identified.account_id, accounts_joined.account_id) as account_id,
        identified.account_id is null as is_account_inferred,
        coalesce(accounts_joined.has_several_accounts, false) as is_ambiguous_account
    from identified
    left join accounts_joined
        on
            identified.account_id is null
            and identified.user_id = accounts_joined.user_id
            and identified.event_at >= accounts_joined.valid_from
            and identified.event_at < accounts_joined.valid_before

),

names as (

    select
        event_name,
        max(case when property_name is not null then 1 else 0 end) = 1 as has_condition
    from tracked_events
    group by 1

),

-- names without conditions: the keys follow from the name alone
name_keys as (

    select
        tracked_events.event_name,
        {{ dbt.listagg('tracked_events.event_key', "'|'", 'order by tracked_events.event_key') }}
            as key_set
    from (select distinct event_name, event_key from tracked_events) as tracked_events
    inner join names on tracked_events.event_name = names.event_name
    where not names.has_condition
    group by 1

),

-- read once more: what two read is written down whole
conditional_tracks as (

    select tracks.event_id, tracks.event_name, tracks.properties
    from {{ ref('int_tracks_screened') }} as tracks
    inner join names on tracks.event_name = names.event_name and names.has_condition
    where tracks.fate = 'kept' {{ and_restated('int_reattributed_events', ['event_id']) }}

),

conditional_matches as (

    select distinct
        tracks.event_id,
        tracked_events.event_key
    from conditional_tracks as tracks
    inner join tracked_events on tracks.event_name = tracked_events.event_name
    where
        tracked_events.property_name is null
        or {{ json_property('tracks.properties', 'tracked_events.property_name') }}
        = coalesce(
            tracked_events.property_value,
            {{ json_property('tracks.properties', 'tracked_events.property_name') }}
        )

),

conditional_keys as (

    select
        event_id,
        {{ dbt.listagg('event_key', "'|'", 'order by event_key') }} as key_set
    from conditional_matches
    group by 1

),

attributed as (

    select
        located.event_id,
        located.user_id,
        located.account_id,
        located.load_id,
        located.event_name,
        coalesce(conditional_keys.key_set, name_keys.key_set) as key_set,
        located.is_account_inferred,
        located.is_ambiguous_account,
        located.properties is not null and not {{ is_json('located.properties') }}
            as has_bad_properties,
        greatest(
            {{ dbt.datediff(
                'located.event_date', reporting_date('located.received_at'), 'day'
            ) }},
            0
        ) as late_days,
        located.event_date
    from located
    left join name_keys on located.event_name = name_keys.event_name
    left join conditional_keys on located.event_id = conditional_keys.event_id

)

select * from attributed
