-- One row per account whose activation by its steps is not that of its last day, which is counted
-- in another way.
with

activation as (

    select * from {{ ref('account_activation') }}

),

last_day as (

    select * from {{ ref('account_activation_daily') }}
    where {{ adapter.quote('date') }} = {{ as_of_date() }}

),

by_steps as (

    select account_id, step_count, completed_step_count, activation_rate, readiness_rate
    from activation

),

by_day as (

    select account_id, step_count, completed_step_count, activation_rate, readiness_rate
    from last_day

),

differing as (

    (
        select * from by_steps
        except
        select * from by_day
    )

    union all

    (
        select * from by_day
        except
        select * from by_steps
    )

)

select * from differing
