-- One row per kept event that does not name both its user and its account, with those found for it.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_reattributed_events', 'restated_on': ['event_number'], 'is_long': true
    }
) }}
{%- set columns = [
    'event_number', 'anonymous_id', 'load_id', 'event_name', 'key_set', 'late_days',
    'has_bad_properties', 'event_at', 'event_date',
] | join(', ') %}
with

tracks as (

    select {{ columns }}, user_id, account_id
    from {{ renewed('int_tracks_screened') if restating() else ref('int_tracks_screened') }}
    where fate = 'kept' and (user_id is null or account_id is null)
    {%- if restating() %}
    {%- do ref('int_reattributed_events') %}{# which rows are superseded #}

    union all

    select
        {{ columns }},
        case when not is_user_inferred then user_id end as user_id,
        case when not is_account_inferred then account_id end as account_id
    from {{ superseded('int_resolved_events') }}
    where event_number not in (select event_number from {{ ref('int_restated_events') }})
    {%- endif %}

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
        identified.user_id is null as is_user_inferred,
        identified.account_id is null as is_account_inferred,
        coalesce(accounts_joined.has_several_accounts, false) as is_ambiguous_account,
        identified.has_bad_properties,
        identified.event_at,
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
