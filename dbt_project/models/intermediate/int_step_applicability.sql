-- One row per basis (as scored, or restated by the rows in force on the as-of date), step row,
-- account and stretch of days on which the step applies.
with

steps as (

    select * from {{ ref('int_step_rows') }}

),

states as (

    select * from {{ ref('int_account_states') }}

),

bases as (

    select 'scored' as basis, steps.* from steps

    union all

    select 'restated' as basis, steps.* from steps where is_in_force

),

crossed as (

    select
        bases.basis,
        bases.step_row,
        states.account_id,
        bases.level,
        bases.weight_units,
        case
            when bases.basis = 'scored' then greatest(states.valid_from, bases.valid_from)
            else states.valid_from
        end as valid_from,
        case
            when bases.basis = 'scored' then least(states.valid_to, bases.valid_to)
            else states.valid_to
        end as valid_to
    from bases
    inner join states
        on
            coalesce(bases.account_status, states.account_status) = states.account_status
            and (bases.account_plan is null or bases.account_plan = states.plan)

),

applicability as (

    select * from crossed where valid_from <= valid_to

)

select * from applicability
