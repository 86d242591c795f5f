-- One row per fact that a group call states about an account's status, with the day from which it
-- is known and past.
with

groups as (

    select * from {{ ref('int_groups_deduplicated') }}

),

trial_ends as (

    select
        *,
        lag(trait_trial_ends_at) over (
            partition by account_id order by row_at, row_id
        ) as previous_trial_ends_at
    from groups
    where trait_trial_ends_at is not null

),

stated as (

    select
        account_id,
        row_at as known_at,
        row_at as fact_at,
        trait_canceled_at,
        {{ account_status('trait_status') }} as account_status
    from groups

    union all

    select
        account_id,
        row_at as known_at,
        trait_canceled_at as fact_at,
        trait_canceled_at,
        'canceled' as account_status
    from groups

    union all

    select
        account_id,
        row_at as known_at,
        trait_contract_started_at as fact_at,
        trait_canceled_at,
        'paid' as account_status
    from groups

    union all

    -- a row that repeats the trial's end brings nothing new
    select
        account_id,
        row_at as known_at,
        row_at as fact_at,
        trait_canceled_at,
        'trial' as account_status
    from trial_ends
    where previous_trial_ends_at is null or previous_trial_ends_at <> trait_trial_ends_at

),

facts as (

    select
        account_id,
        account_status,
        row_number() over (
            partition by account_id
            order by
                fact_at,
                case account_status when 'trial' then 1 when 'paid' then 2 else 3 end,
                known_at
        ) as rank_in_time,
        {{ reporting_date('greatest(fact_at, known_at)') }} as effective_date
    from stated
    where
        fact_at is not null
        and account_status in ('paid', 'trial', 'canceled')
        and (
            account_status = 'canceled'
            or trait_canceled_at is null
            or trait_canceled_at > known_at
        )

),

past as (

    select * from facts where effective_date <= {{ as_of_date() }}

)

select * from past
