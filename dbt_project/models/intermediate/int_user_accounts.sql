-- One row per account and user ever seen there.
with

active as (

    select * from {{ ref('int_active_users') }} where user_id is not null

),

groups as (

    select * from {{ ref('int_groups_deduplicated') }}

),

joined as (

    select
        account_id,
        user_id,
        min(row_date) as joined_date
    from groups
    where user_id is not null
    group by 1, 2

),

seen as (

    select
        coalesce(active.account_id, joined.account_id) as account_id,
        coalesce(active.user_id, joined.user_id) as user_id,
        coalesce(active.event_count, 0) as event_count,
        joined.joined_date,
        least(
            coalesce(active.first_event_date, joined.joined_date),
            coalesce(joined.joined_date, active.first_event_date)
        ) as first_seen_date,
        greatest(
            coalesce(active.last_event_date, joined.joined_date),
            coalesce(joined.joined_date, active.last_event_date)
        ) as last_seen_date
    from active
    full outer join joined
        on active.account_id = joined.account_id and active.user_id = joined.user_id

)

select * from seen
