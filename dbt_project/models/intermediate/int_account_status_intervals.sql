-- One row per account and stretch of days on which the latest known fact gives one status (trials
-- not yet judged as expired).
with

facts as (

    select * from {{ ref('int_account_status_facts') }}

),

days as (

    select
        account_id,
        effective_date,
        max(rank_in_time) as rank_in_time
    from facts
    group by 1, 2

),

latest as (

    select
        account_id,
        effective_date,
        max(rank_in_time) over (
            partition by account_id
            order by effective_date
            rows between unbounded preceding and current row
        ) as rank_in_time
    from days

),

intervals as (

    select
        latest.account_id,
        facts.account_status,
        latest.effective_date as valid_from,
        coalesce(
            {{ days_after(
                'lead(latest.effective_date) over (
                    partition by latest.account_id order by latest.effective_date
                )', -1
            ) }},
            {{ as_of_date() }}
        ) as valid_to
    from latest
    inner join facts
        on latest.account_id = facts.account_id and latest.rank_in_time = facts.rank_in_time

)

select * from intervals
