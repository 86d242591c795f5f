-- One row per identify call that counts: screened, not waiting for a later as-of date, not
-- excluded, the first of its id.
with

identifies as (

    select * from {{ ref('int_identifies_screened') }}

),

excluded as (

    select * from {{ ref('int_excluded_entities') }}

),

remaining as (

    select *
    from identifies
    where
        quarantine_reason is null
        and row_date <= {{ as_of_date() }}
        and coalesce(user_id, '') not in (select entity_id from excluded where entity = 'user')

),

ranked as (

    select
        *,
        {{ copy_number(ref('int_identifies_screened'), ['user_id', 'anonymous_id']) }}
            as copy_number
    from remaining

),

deduplicated as (

    select * from ranked where copy_number = 1

)

select * from deduplicated
