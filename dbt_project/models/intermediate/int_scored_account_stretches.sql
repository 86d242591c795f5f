-- One row per score model, account and stretch of days on which the account's status and plan pass
-- the model's filters.
with

states as (

    select * from {{ ref('int_account_states') }}

),

score_models as (

    select * from {{ ref('score_models') }}

),

scored as (

    select
        score_models.score_model,
        states.account_id,
        states.account_status,
        states.plan,
        score_models.curve,
        score_models.score_model = 'default' as is_default_model,
        states.valid_from,
        states.valid_to
    from states
    inner join score_models
        on
            states.account_status = coalesce(score_models.account_status, states.account_status)
            and (score_models.account_plan is null or states.plan = score_models.account_plan)

)

select * from scored
