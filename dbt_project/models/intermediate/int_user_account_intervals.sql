-- One row per user and stretch of time in which events without an account count for the account
-- joined last.
{{ config(materialized='incremental') }}
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

account_counts as (

    select user_id, count(distinct account_id) as account_count
    from groups
    where user_id is not null
    group by 1

),

compared as (

    select
        ranked.user_id,
        ranked.account_id,
        ranked.joined_at,
        lag(ranked.account_id) over (partition by ranked.user_id order by ranked.joined_at)
            as previous_account_id,
        account_counts.account_count > 1 as has_several_accounts
    from ranked
    inner join account_counts on ranked.user_id = account_counts.user_id
    where ranked.rank_at_instant = 1

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
        has_several_accounts,
        case
            when previous_account_id is null then cast('1900-01-01' as {{ dbt.type_timestamp() }})
            else joined_at
        end as valid_from,
        coalesce(next_at, cast('9999-12-31' as {{ dbt.type_timestamp() }})) as valid_before
    from changes

)

select * from intervals
