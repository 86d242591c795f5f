-- One row per account and user step that applies to it on the as-of date.
with

accounts as (

    select * from {{ ref('accounts') }}

),

steps as (

    select * from {{ ref('int_step_rows') }} where level = 'user' and is_shown

),

applicability as (

    select *
    from {{ ref('int_step_applicability') }}
    where basis = 'scored' and valid_to = {{ as_of_date() }}

),

user_steps as (

    select * from {{ ref('user_activation_steps') }} where is_member

),

completed as (

    select account_id, step_key, count(*) as completed_user_count
    from user_steps
    where is_completed
    group by 1, 2

),

counted as (

    select
        accounts.account_id,
        steps.step_key,
        steps.step_name,
        steps.feature,
        coalesce(completed.completed_user_count, 0) as completed_user_count,
        accounts.user_count,
        {{ exact_ratio('coalesce(completed.completed_user_count, 0)', 'accounts.user_count') }}
            as completed_user_rate,
        steps.is_flagship
    from accounts
    inner join applicability on accounts.account_id = applicability.account_id
    inner join steps on applicability.step_row = steps.step_row
    left join completed
        on accounts.account_id = completed.account_id and steps.step_key = completed.step_key

)

select * from counted
