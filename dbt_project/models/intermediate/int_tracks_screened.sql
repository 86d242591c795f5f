-- One row per track call, with what becomes of it: a reason to quarantine it, waiting, excluded,
-- duplicate or kept.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_events', 'restated_on': ['event_id']}
) }}
{%- set columns = [
    'event_id', 'user_id', 'anonymous_id', 'account_id', 'load_id',
    'event_name', 'properties', 'event_time_text', 'event_at', 'received_at',
] %}
with

tracks as (

    select {{ columns | join(', ') }}
    from {{ ref('stg_tracks') }}
    where {{ was_delivered('load_id') }}
    {%- if restating() %}

    union all

    select {{ columns | join(', ') }}
    from {{ this }}
    where event_id in (select event_id from {{ ref('int_restated_events') }})
    {%- endif %}

),

excluded as (

    select * from {{ ref('int_excluded_entities') }}

),

dated as (

    select
        *,
        {{ reporting_date('event_at') }} as event_date
    from tracks

),

judged as (

    select
        *,
        case
            when event_id is null then 'missing_id'
            when event_name is null then 'missing_event'
            when {{ is_bad_timestamp('event_at', 'received_at') }} then 'bad_timestamp'
            when coalesce(user_id, anonymous_id, account_id) is null then 'no_identity'
            when event_date > {{ as_of_date() }} then 'waiting'
            when user_id in (select entity_id from excluded where entity = 'user') then 'excluded'
            when account_id in (select entity_id from excluded where entity = 'account')
                then 'excluded'
        end as reason
    from dated

),

ranked as (

    select
        *,
        row_number() over (
            partition by event_id, reason is null
            order by
                event_at,
                received_at,
                event_name,
                user_id nulls first,
                anonymous_id nulls first,
                account_id nulls first,
                properties nulls first,
                load_id nulls first
        ) as copy_number
    from judged

),

screened as (

    select
        event_id,
        user_id,
        anonymous_id,
        account_id,
        load_id,
        event_name,
        properties,
        case when reason not in ('waiting', 'excluded') then event_time_text end
            as event_time_text,
        coalesce(reason, case when copy_number > 1 then 'duplicate' else 'kept' end) as fate,
        event_at,
        received_at,
        event_date
    from ranked

)

select * from screened
