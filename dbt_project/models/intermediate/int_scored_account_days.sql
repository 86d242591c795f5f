-- One row per score model, account and day on which the account's status and plan pass the model's
-- filters.
with

account_days as (

    select * from {{ ref('int_account_days') }}

),

score_models as (

    select * from {{ ref('score_models') }}

),

scored as (

    select
        score_models.score_model,
        account_days.account_id,
        account_days.account_status,
        account_days.plan,
        score_models.curve,
        score_models.window_days,
        score_models.score_model = 'default' as is_default_model,
        account_days.date_day
    from account_days
    inner join score_models
        on
            account_days.account_status
            = coalesce(score_models.account_status, account_days.account_status)
            and (
                score_models.account_plan is null
                or account_days.plan = score_models.account_plan
            )

)

select * from scored
