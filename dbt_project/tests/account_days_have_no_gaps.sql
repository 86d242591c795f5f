-- One row per account without a row for each day from first seen to the as-of date.
with

accounts as (

    select * from {{ ref('accounts') }}

),

daily as (

    select account_id, {{ adapter.quote('date') }} as date_day
    from {{ ref('account_activation_daily') }}

),

counted as (

    select
        account_id,
        count(distinct date_day) as day_count,
        min(date_day) as first_date,
        max(date_day) as last_date
    from daily
    group by 1

),

differing as (

    select
        accounts.account_id,
        accounts.first_seen_date,
        counted.first_date,
        counted.last_date,
        counted.day_count
    from accounts
    left join counted
        on
            accounts.account_id = counted.account_id
            and accounts.first_seen_date = counted.first_date
            and counted.last_date = {{ as_of_date() }}
            and counted.day_count
            = {{ dbt.datediff('counted.first_date', 'counted.last_date', 'day') }} + 1
    where counted.account_id is null

)

select * from differing
