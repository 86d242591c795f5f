-- One row per track call that counts: screened, not waiting for a later as-of date, not excluded, the first of its id.
with

tracks as (

    select * from {{ ref('int_tracks_screened') }}

),

excluded as (

    select * from {{ ref('int_excluded_entities') }}

),

remaining as (

    select *
    from tracks
    where
        quarantine_reason is null
        and event_date <= {{ as_of_date() }}
        and coalesce(user_id, '') not in (select entity_id from excluded where entity = 'user')
        and coalesce(account_id, '') not in (select entity_id from excluded where entity = 'account')

),

ranked as (

    select
        *,
        row_number() over (
            partition by event_id
            order by
                event_at,
                received_at,
                event_name,
                user_id nulls first,
                anonymous_id nulls first,
                account_id nulls first,
                properties nulls first
        ) as copy_number
    from remaining

),

deduplicated as (

    select * from ranked where copy_number = 1

)

select * from deduplicated
