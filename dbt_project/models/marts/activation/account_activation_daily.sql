-- One row per account and day from first seen to the as-of date.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_activation_days',
        'restated_on': {'account_id': 'account_id', 'date': 'date_day'},
    }
) }}
with

stretches as (

    select * from {{ ref('int_account_activation_stretches') }}

),

days as (

    {%- if restating() %}

    select stretches.*, restated.date_day
    from {{ ref('int_restated_activation_days') }} as restated
    inner join stretches
        on
            restated.account_id = stretches.account_id
            and restated.date_day between stretches.valid_from and stretches.valid_to

    {%- else %}

    select *, {{ each_day('valid_from', 'valid_to') }} as date_day from stretches
    {%- endif %}

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
