-- One row per account: it exists from its first group call or attributed event.
with

active_users as (

    select * from {{ ref('int_active_users') }}

),

groups as (

    select * from {{ ref('int_groups_deduplicated') }}

),

signs as (

    select
        account_id,
        min(first_event_date) as first_date,
        max(last_event_date) as last_event_date
    from active_users
    group by 1

    union all

    select
        account_id,
        min(row_date) as first_date,
        null as last_event_date
    from groups
    group by 1

),

accounts as (

    select
        account_id,
        min(first_date) as first_seen_date,
        greatest(
            min(first_date), coalesce(max(last_event_date), min(first_date))
        ) as last_seen_date
    from signs
    group by 1

)

select * from accounts
