-- One row per user and stretch of time in which events without an account count for the account
-- joined last.
{{ config(materialized='incremental') }}
{#- Text in place of a common table expression: what two read would be written down whole. -#}
{%- set joins = '(select * from ' ~ ref('int_groups_deduplicated')
    ~ ' where user_id is not null)' %}
with

users as (

    select
        user_id,
        min(account_id) as account_id,
        max(account_id) as last_account_id
    from {{ joins }} as joins
    group by 1

),

-- where a user joined several accounts, the time of an event tells for which it counts
ranked as (

    select
        user_id,
        account_id,
        row_at as joined_at,
        row_number() over (partition by user_id, row_at order by row_id desc) as rank_at_instant
    from {{ joins }} as joins
    where user_id in (select user_id from users where account_id <> last_account_id)

),

compared as (

    select
        *,
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
        true as has_several_accounts,
        case
            when previous_account_id is null then cast('1900-01-01' as {{ dbt.type_timestamp() }})
            else joined_at
        end as valid_from,
        coalesce(next_at, cast('9999-12-31' as {{ dbt.type_timestamp() }})) as valid_before
    from changes

    union all

    select
        user_id,
        account_id,
        false as has_several_accounts,
        cast('1900-01-01' as {{ dbt.type_timestamp() }}) as valid_from,
        cast('9999-12-31' as {{ dbt.type_timestamp() }}) as valid_before
    from users
    where account_id = last_account_id

)

select * from intervals
