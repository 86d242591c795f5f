-- One row per identify call that counts.
with

calls as (

    select
        {{ cleaned('id') }} as id,
        {{ cleaned('user_id') }} as user_id,
        {{ cleaned('anonymous_id') }} as anonymous_id,
        {{ cleaned('email') }} as email,
        "timestamp" as row_at,
        coalesce(received_at, "timestamp") as received_at
    from {{ raw('identifies') }}
    where {{ is_timely() }}

),

excluded as (

    select user_id
    from calls
    where id is not null
    group by user_id
    having {{ is_excluded('user', 'email', 'arg_max(email, (row_at, id))') }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by id
            order by row_at, received_at, user_id nulls first, anonymous_id nulls first
        ) as copy_number
    from calls
    where
        id is not null
        and coalesce(user_id, anonymous_id) is not null

)

select *, coalesce(user_id in (select user_id from excluded), false) as is_excluded
from numbered
where copy_number = 1
