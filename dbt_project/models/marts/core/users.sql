-- One row per user: identified by an event, an identify call or a group call.
with

resolved_events as (

    select * from {{ ref('int_resolved_events') }}

),

identifies as (

    select * from {{ ref('int_identifies_deduplicated') }}

),

user_accounts as (

    select * from {{ ref('int_user_accounts') }}

),

traits as (

    select * from {{ ref('int_user_trait_intervals') }}

),

signs as (

    select user_id, min(first_seen_date) as first_date, max(last_seen_date) as last_date
    from user_accounts
    group by 1

    union all

    select user_id, min(event_date) as first_date, max(event_date) as last_date
    from resolved_events
    where user_id is not null and account_id is null
    group by 1

    union all

    select user_id, min(row_date) as first_date, max(row_date) as last_date
    from identifies
    where user_id is not null
    group by 1

),

seen as (

    select
        user_id,
        min(first_date) as first_seen_date,
        max(last_date) as last_seen_date
    from signs
    group by 1

),

current_traits as (

    select
        user_id,
        max(case when trait = 'email' then trait_value end) as email,
        max(case when trait = 'name' then trait_value end) as user_name,
        max(case when trait = 'role' then trait_value end) as user_role
    from traits
    where valid_to is null
    group by 1

),

account_counts as (

    select user_id, count(*) as account_count from user_accounts group by 1

),

users as (

    select
        seen.user_id,
        current_traits.email,
        current_traits.user_name,
        current_traits.user_role,
        coalesce(account_counts.account_count, 0) as account_count,
        seen.first_seen_date,
        seen.last_seen_date
    from seen
    left join current_traits on seen.user_id = current_traits.user_id
    left join account_counts on seen.user_id = account_counts.user_id

)

select * from users
