-- One row per step row and entity (user_id empty: the account) with any progress up to the as-of
-- date.
with

counts as (

    select * from {{ ref('int_step_counts') }}

),

met as (

    select * from {{ ref('int_step_met_intervals') }}

),

steps as (

    select * from {{ ref('int_step_rows') }}

),

progress as (

    select
        step_row,
        account_id,
        user_id,
        max_by(count_in_window, date_day) as progress_count,
        null as reached_date,
        null as last_met_date
    from counts
    group by 1, 2, 3

    union all

    select
        met.step_row,
        met.account_id,
        met.user_id,
        -- a trait step counts 1 while it is met
        max(case when steps.trait is not null and met.met_to = {{ as_of_date() }} then 1 end)
            as progress_count,
        min(met.met_from) as reached_date,
        max(met.met_to) as last_met_date
    from met
    inner join steps on met.step_row = steps.step_row
    group by 1, 2, 3

),

summed as (

    select
        step_row,
        account_id,
        user_id,
        cast(coalesce(max(progress_count), 0) as bigint) as progress_count,
        max(reached_date) as reached_date,
        max(last_met_date) as last_met_date
    from progress
    group by 1, 2, 3

)

select * from summed
