-- One row per track call that counts.
with

calls as (

    select
        {{ cleaned('id') }} as id,
        {{ cleaned('event') }} as event,
        {{ cleaned('user_id') }} as user_id,
        {{ cleaned('anonymous_id') }} as anonymous_id,
        {{ cleaned('context_group_id') }} as account_id,
        properties,
        "timestamp" as event_at,
        coalesce(received_at, "timestamp") as received_at
    from {{ raw('tracks') }}
    where {{ is_timely() }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by id
            order by
                event_at, received_at, event, user_id nulls first, anonymous_id nulls first,
                account_id nulls first, properties nulls first
        ) as copy_number
    from calls
    where
        id is not null
        and event is not null
        and coalesce(user_id, anonymous_id, account_id) is not null
        and not {{ is_excluded('account', 'account_id', 'account_id') }}
        and coalesce(user_id, '') not in (
            select user_id from {{ ref('identifies') }} where is_excluded
        )

)

select * from numbered where copy_number = 1
