-- One row per account and day from first seen to the as-of date.
with

days as (

    select * from {{ ref('int_account_activation_days') }}

),

daily as (

    select
        account_id,
        account_status,
        plan,
        cast(step_count as bigint) as step_count,
        cast(completed_step_count as bigint) as completed_step_count,
        activation_rate_scored as activation_rate,
        cast(user_count as bigint) as user_count,
        cast(activated_user_count as bigint) as activated_user_count,
        user_activation_rate_scored as user_activation_rate,
        readiness_rate_scored as readiness_rate,
        activation_rate_restated,
        user_activation_rate_restated,
        readiness_rate_restated,
        date_day as {{ adapter.quote('date') }}
    from days

)

select * from daily
