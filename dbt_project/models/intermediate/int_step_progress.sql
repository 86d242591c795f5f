-- One row per step row and entity (user_id empty: the account) with any progress up to the as-of
-- date.
with

event_steps as (

    select * from {{ ref('int_event_step_progress') }}

),

trait_steps as (

    select * from {{ ref('int_trait_step_intervals') }}

),

progress as (

    select * from event_steps

    union all

    -- a trait step counts 1 while it is met
    select
        step_row,
        account_id,
        user_id,
        cast(max(case when met_to = {{ as_of_date() }} then 1 else 0 end) as bigint)
            as progress_count,
        min(met_from) as reached_date,
        max(met_to) as last_met_date
    from trait_steps
    group by 1, 2, 3

)

select * from progress
