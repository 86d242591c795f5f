-- One row per account and user ever seen there.
with

user_accounts as (

    select * from {{ ref('int_user_accounts') }}

),

described as (

    select
        account_id,
        user_id,
        cast(event_count as bigint) as event_count,
        last_seen_date > {{ days_after(as_of_date(), -var('member_days')) }} as is_member,
        joined_date,
        first_seen_date,
        last_seen_date
    from user_accounts

)

select * from described
