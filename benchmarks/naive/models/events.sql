-- One row per event with an account, with its user where that is known.
with

tracks as (

    select * from {{ ref('tracks') }}

),

named as (

    select anonymous_id, row_at as named_at, user_id
    from {{ ref('identifies') }}
    where user_id is not null and anonymous_id is not null and not is_excluded

    union all

    select anonymous_id, event_at as named_at, user_id
    from tracks
    where user_id is not null and anonymous_id is not null

),

names as (

    select anonymous_id, named_at, min(user_id) as user_id from named group by 1, 2

),

joins as (

    select user_id, row_at as joined_at, arg_max(account_id, id) as account_id
    from {{ ref('groups') }}
    where user_id is not null
    group by 1, 2

),

identified as (

    select tracks.* replace (coalesce(tracks.user_id, before.user_id, after.user_id) as user_id)
    from tracks
    asof left join names as before
        on tracks.anonymous_id = before.anonymous_id and tracks.event_at >= before.named_at
    asof left join names as after
        on tracks.anonymous_id = after.anonymous_id and tracks.event_at < after.named_at

),

located as (

    select
        identified.* replace (
            coalesce(identified.account_id, before.account_id, after.account_id) as account_id
        )
    from identified
    asof left join joins as before
        on identified.user_id = before.user_id and identified.event_at >= before.joined_at
    asof left join joins as after
        on identified.user_id = after.user_id and identified.event_at < after.joined_at

)

select *, cast(event_at as date) as event_date
from located
where account_id is not null
