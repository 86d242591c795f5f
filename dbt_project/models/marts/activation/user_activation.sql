-- One row per account and member, as of the as-of date.
with

steps as (

    select * from {{ ref('user_activation_steps') }}

),

user_accounts as (

    select * from {{ ref('user_accounts') }}

),

changes as (

    select * from {{ ref('int_user_activation_changes') }} where basis = 'scored'

),

activated as (

    select
        changes.account_id,
        changes.user_id,
        min(changes.date_day) as activated_date
    from changes
    inner join user_accounts
        on
            changes.account_id = user_accounts.account_id
            and changes.user_id = user_accounts.user_id
            and changes.date_day >= user_accounts.first_seen_date
    where changes.is_activated
    group by 1, 2

),

counted as (

    select
        account_id,
        user_id,
        {{ activation_columns() }}
    from steps
    group by 1, 2

),

members as (

    select
        user_accounts.account_id,
        user_accounts.user_id,
        coalesce(counted.missing_steps, '') as missing_steps,
        coalesce(counted.step_count, 0) as step_count,
        coalesce(counted.completed_step_count, 0) as completed_step_count,
        counted.activation_rate,
        {{ dbt.datediff('user_accounts.first_seen_date', 'activated.activated_date', 'day') }}
            as days_to_activation,
        coalesce(counted.step_count = counted.completed_step_count, false)
        and counted.step_count > 0 as is_activated,
        activated.activated_date,
        {{ as_of_date() }} as as_of_date
    from user_accounts
    left join counted
        on
            user_accounts.account_id = counted.account_id
            and user_accounts.user_id = counted.user_id
    left join activated
        on
            user_accounts.account_id = activated.account_id
            and user_accounts.user_id = activated.user_id
    where user_accounts.is_member

)

select * from members
