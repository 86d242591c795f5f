-- One row per user and stretch of time in which events without an account count for the account
-- joined last.
with

groups as (

    select * from {{ ref('int_groups_deduplicated') }}

),

ranked as (

    select
        user_id,
        account_id,
        row_at as joined_at,
        row_number() over (partition by user_id, row_at order by row_id desc) as rank_at_instant
    from groups
    where user_id is not null

),

compared as (

    select
        user_id,
        account_id,
        joined_at,
        lag(account_id) over (partition by user_id order by joined_at) as previous_account_id
    from ranked
    where rank_at_instant = 1

),

changes as (

    select
        *,
        lead(joined_at) over (partition by user_id order by joined_at) as next_at
    from compared
    where previous_account_id is null or previous_account_id <> account_id

),

-- events before the first join count for the first account joined after them
intervals as (

    select
        user_id,
        account_id,
        case
            when previous_account_id is null then cast('1900-01-01' as {{ dbt.type_timestamp() }})
            else joined_at
        end as valid_from,
        coalesce(next_at, cast('9999-12-31' as {{ dbt.type_timestamp() }})) as valid_before
    from changes

)

select * from intervals
