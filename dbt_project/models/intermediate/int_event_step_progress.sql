-- One row per event step row and entity (user_id empty: the account) with any progress up to the
-- as-of date.
{{ config(materialized='incremental') }}
with

counted as (

    select
        step_row,
        account_id,
        user_id,
        max_by(count_in_window, date_day) as progress_count,
        min(case when is_met then date_day end) as reached_date,
        max(case when is_met then date_day end) as last_met_date
    from {{ ref('int_step_counts') }}
    where true {{ and_restated('int_restated_step_days', ['account_id', 'date_day']) }}
    group by 1, 2, 3

),

{%- if restating() %}

starts as (

    select account_id, min(date_day) as first_date
    from {{ ref('int_restated_step_days') }}
    group by 1

),

replaced as (

    select
        step_row,
        account_id,
        user_id,
        min_by(count_in_window - moved, date_day) as progress_count
    from {{ superseded('int_step_counts') }}
    group by 1, 2, 3

),

-- as it was before the first day that may have changed
before as (

    select
        known.step_row,
        known.account_id,
        known.user_id,
        coalesce(replaced.progress_count, known.progress_count) as progress_count,
        case
            when known.reached_date < starts.first_date or starts.first_date is null
                then known.reached_date
        end as reached_date,
        case
            when known.last_met_date < starts.first_date or starts.first_date is null
                then known.last_met_date
        end as last_met_date,
        starts.first_date
    from {{ this }} as known
    left join starts on known.account_id = starts.account_id
    left join replaced
        on
            known.step_row = replaced.step_row
            and known.account_id = replaced.account_id
            and known.user_id = replaced.user_id

),

joined as (

    select
        coalesce(counted.step_row, before.step_row) as step_row,
        coalesce(counted.account_id, before.account_id) as account_id,
        coalesce(counted.user_id, before.user_id) as user_id,
        coalesce(counted.progress_count, before.progress_count) as progress_count,
        coalesce(before.reached_date, counted.reached_date) as reached_date,
        coalesce(counted.last_met_date, before.last_met_date) as last_met_date,
        before.first_date
    from counted
    full outer join before
        on
            counted.step_row = before.step_row
            and counted.account_id = before.account_id
            and counted.user_id = before.user_id

),

-- no longer met on the days that changed: when was it before them
lapsed as (

    select joined.step_row, joined.account_id, joined.user_id, max(counts.date_day) as last_met_date
    from joined
    inner join {{ ref('int_step_counts') }} as counts
        on
            joined.step_row = counts.step_row
            and joined.account_id = counts.account_id
            and joined.user_id = counts.user_id
            and joined.first_date > counts.date_day
    where joined.reached_date is not null and joined.last_met_date is null and counts.is_met
    group by 1, 2, 3

),

{%- endif %}

progress as (

    {%- if restating() %}

    select
        joined.step_row,
        joined.account_id,
        joined.user_id,
        joined.progress_count,
        joined.reached_date,
        coalesce(joined.last_met_date, lapsed.last_met_date) as last_met_date
    from joined
    left join lapsed
        on
            joined.step_row = lapsed.step_row
            and joined.account_id = lapsed.account_id
            and joined.user_id = lapsed.user_id

    {%- else %}

    select * from counted
    {%- endif %}

),

begun as (

    select * from progress where progress_count > 0 or reached_date is not null

)

select * from begun
