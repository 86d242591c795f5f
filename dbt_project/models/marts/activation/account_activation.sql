-- One row per account, as of the as-of date.
with

steps as (

    select * from {{ ref('account_activation_steps') }}

),

accounts as (

    select * from {{ ref('accounts') }}

),

stretches as (

    select * from {{ ref('int_account_activation_stretches') }}

),

activated as (

    select account_id, min(valid_from) as activated_date
    from stretches
    where is_activated
    group by 1

),

counted as (

    select
        account_id,
        {{ activation_columns() }}
    from steps
    group by 1

),

activation as (

    select
        accounts.account_id,
        coalesce(counted.missing_steps, '') as missing_steps,
        coalesce(counted.step_count, 0) as step_count,
        coalesce(counted.completed_step_count, 0) as completed_step_count,
        counted.activation_rate,
        cast(stretches.user_count as bigint) as user_count,
        cast(stretches.activated_user_count as bigint) as activated_user_count,
        stretches.user_activation_rate_scored as user_activation_rate,
        stretches.readiness_rate_scored as readiness_rate,
        {{ dbt.datediff('accounts.first_seen_date', 'activated.activated_date', 'day') }}
            as days_to_activation,
        stretches.is_activated,
        activated.activated_date,
        {{ as_of_date() }} as as_of_date
    from accounts
    inner join stretches
        on
            accounts.account_id = stretches.account_id
            and stretches.valid_to = {{ as_of_date() }}
    left join counted on accounts.account_id = counted.account_id
    left join activated on accounts.account_id = activated.account_id

)

select * from activation
