-- One row per month end or the as-of date, step and account status to which the step applied.
with

accounts as (

    select * from {{ ref('int_accounts') }}

),

steps as (

    select * from {{ ref('int_step_rows') }}

),

states as (

    select * from {{ ref('int_account_states') }}

),

members as (

    select * from {{ ref('int_membership_intervals') }}

),

applicability as (

    select * from {{ ref('int_step_applicability') }} where basis = 'scored'

),

completions as (

    select * from {{ ref('int_step_completions') }}

),

days as (

    select {{ each_day('min(first_seen_date)', as_of_date()) }} as date_day from accounts

),

dates as (

    select date_day
    from days
    where
        date_day = {{ as_of_date() }}
        or {{ dbt.date_trunc('month', days_after('date_day', 1)) }}
        = {{ days_after('date_day', 1) }}

),

entities as (

    select dates.date_day, 'account' as level, accounts.account_id, '' as user_id
    from dates
    inner join accounts on dates.date_day >= accounts.first_seen_date

    union all

    select dates.date_day, 'user' as level, members.account_id, members.user_id
    from dates
    inner join members on dates.date_day between members.valid_from and members.valid_to

),

eligible as (

    select
        entities.date_day,
        entities.account_id,
        entities.user_id,
        states.account_status,
        applicability.step_row
    from entities
    inner join states
        on
            entities.account_id = states.account_id
            and entities.date_day between states.valid_from and states.valid_to
    inner join applicability
        on
            entities.account_id = applicability.account_id
            and entities.level = applicability.level
            and entities.date_day between applicability.valid_from and applicability.valid_to

),

counted as (

    select
        eligible.date_day,
        eligible.step_row,
        eligible.account_status,
        count(*) as eligible_count,
        count(completions.step_row) as completed_count
    from eligible
    left join completions
        on
            eligible.step_row = completions.step_row
            and eligible.account_id = completions.account_id
            and eligible.user_id = completions.user_id
            and eligible.date_day between completions.valid_from and completions.valid_to
    group by 1, 2, 3

),

adoption as (

    select
        steps.step_key,
        counted.account_status,
        steps.level,
        steps.step_name,
        counted.eligible_count,
        counted.completed_count,
        {{ exact_ratio('counted.completed_count', 'counted.eligible_count') }} as adoption_rate,
        steps.is_flagship,
        counted.date_day as {{ adapter.quote('date') }}
    from counted
    inner join steps on counted.step_row = steps.step_row

)

select * from adoption
