-- One row per account whose numbers of users are not what its members give.
with

accounts as (

    select * from {{ ref('account_activation') }}

),

members as (

    select * from {{ ref('user_activation') }}

),

summed as (

    select
        account_id,
        avg(activation_rate) as mean_rate,
        count(*) as user_count,
        count(case when is_activated then 1 end) as activated_user_count
    from members
    group by 1

),

-- the members' rates are rounded, the account's is a mean of exact ones
differing as (

    select
        accounts.account_id,
        accounts.user_activation_rate,
        summed.mean_rate,
        accounts.user_count,
        summed.user_count as member_count
    from accounts
    left join summed on accounts.account_id = summed.account_id
    where
        accounts.user_count <> coalesce(summed.user_count, 0)
        or accounts.activated_user_count <> coalesce(summed.activated_user_count, 0)
        or abs(coalesce(accounts.user_activation_rate, -1) - coalesce(summed.mean_rate, -1))
        > 0.0000011

)

select * from differing
