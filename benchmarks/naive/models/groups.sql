-- One row per group call that counts.
with

calls as (

    select
        {{ cleaned('id') }} as id,
        {{ cleaned('group_id') }} as account_id,
        {{ cleaned('user_id') }} as user_id,
        "timestamp" as row_at,
        coalesce(received_at, "timestamp") as received_at
    from {{ raw('groups') }}
    where {{ is_timely() }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by id order by row_at, received_at, user_id nulls first, account_id
        ) as copy_number
    from calls
    where
        id is not null
        and account_id is not null
        and not {{ is_excluded('account', 'account_id', 'account_id') }}
        and coalesce(user_id, '') not in (
            select user_id from {{ ref('identifies') }} where is_excluded
        )

)

select * from numbered where copy_number = 1
