-- One row per kept event that does not name both its user and its account, with those found for it.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_reattributed_events', 'restated_on': ['event_number']}
) }}
with

tracks as (

    select *
    from {{ ref('int_tracks_screened') }}
    where
        fate = 'kept'
        and (user_id is null or account_id is null)
        {{ and_restated('int_reattributed_events', ['event_number']) }}

),

identities as (

    select * from {{ ref('int_identity_intervals') }}

),

accounts_joined as (

    select * from {{ ref('int_user_account_intervals') }}

),

identified as (

    select
        tracks.*,
        identities.user_id as identified_user_id
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
        identified.event_number,
        coalesce(identified.user_id, identified.identified_user_id) as user_id,
        identified.anonymous_id,
        coalesce(identified.account_id, accounts_joined.account_id) as account_id,
        identified.load_id,
        identified.event_name,
        identified.key_set,
        identified.late_days,
        identified.account_id is null as is_account_inferred,
        coalesce(accounts_joined.has_several_accounts, false) as is_ambiguous_account,
        identified.has_bad_properties,
        identified.event_date
    from identified
    left join accounts_joined
        on
            identified.account_id is null
            and coalesce(identified.user_id, identified.identified_user_id)
            = accounts_joined.user_id
            and identified.event_at >= accounts_joined.valid_from
            and identified.event_at < accounts_joined.valid_before

)

select * from located
