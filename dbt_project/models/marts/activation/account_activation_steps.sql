-- One row per account and account step that has begun, as of the as-of date.
with

entities as (

    select * from {{ ref('accounts') }}

),

steps as (

    select * from {{ ref('int_step_rows') }} where level = 'account' and is_shown

),

progress as (

    select * from {{ ref('int_step_progress') }}

),

applicability as (

    select *
    from {{ ref('int_step_applicability') }}
    where basis = 'scored' and valid_to = {{ as_of_date() }}

),

completions as (

    select * from {{ ref('int_step_completions') }} where valid_to = {{ as_of_date() }}

),

evaluated as (

    select
        entities.account_id,
        steps.step_key,
        steps.step_name,
        steps.feature,
        coalesce(progress.progress_count, 0) as progress_count,
        cast(steps.min_count as bigint) as min_count,
        cast(steps.weight_units * 0.0001 as decimal(18, 4)) as weight,
        cast(steps.step_row as bigint) as step_position,
        applicability.step_row is not null as is_applicable,
        completions.step_row is not null as is_completed,
        steps.is_flagship,
        progress.reached_date,
        progress.last_met_date
    from entities
    cross join steps
    left join progress
        on
            steps.step_row = progress.step_row
            and entities.account_id = progress.account_id
            and progress.user_id = ''
    left join applicability
        on
            steps.step_row = applicability.step_row
            and entities.account_id = applicability.account_id
    left join completions
        on
            steps.step_row = completions.step_row
            and entities.account_id = completions.account_id
            and completions.user_id = ''

)

select * from evaluated
