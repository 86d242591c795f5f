-- One row per step row, entity (user_id empty: the account) and unbroken stretch of days on which
-- the step is completed.
{{ config(materialized='incremental') }}
with

steps as (

    select * from {{ ref('int_step_rows') }}

),

progress as (

    select * from {{ ref('int_step_progress') }}

),

counts as (

    select * from {{ ref('int_step_counts') }}

),

trait_steps as (

    select * from {{ ref('int_trait_step_intervals') }}

),

{%- if restating() %}

starts as (

    select account_id, min(date_day) as first_date
    from {{ ref('int_restated_step_days') }}
    group by account_id

),

range as (

    select {{ each_day(
        days_after('min(first_date)', '-(select coalesce(max(expires_after_days), 0) from steps)'),
        as_of_date()
    ) }} as date_day
    from starts

),

{%- endif %}

-- stays completed once it was met
kept as (

    select
        progress.step_row,
        progress.account_id,
        progress.user_id,
        progress.reached_date as valid_from,
        {{ as_of_date() }} as valid_to
    from progress
    inner join steps on progress.step_row = steps.step_row
    where steps.expires_after_days is null and progress.reached_date is not null

),

met as (

    select
        counts.step_row,
        counts.account_id,
        counts.user_id,
        counts.date_day as met_from,
        counts.date_day as met_to
    from counts
    inner join steps on counts.step_row = steps.step_row
    {%- if restating() %}
    inner join starts
        on
            counts.account_id = starts.account_id
            and {{ days_after('counts.date_day', 'steps.expires_after_days') }} >= starts.first_date
    {%- endif %}
    where
        counts.is_met
        and steps.expires_after_days is not null
        {%- if restating() %}
        and counts.date_day in (select date_day from range)
        {%- endif %}

    union all

    select trait_steps.*
    from trait_steps
    inner join steps on trait_steps.step_row = steps.step_row
    where steps.expires_after_days is not null

),

-- holds until expires_after_days after it was last met
held as (

    select
        met.step_row,
        met.account_id,
        met.user_id,
        met.met_from as held_from,
        least(
            {{ days_after('met.met_to', 'steps.expires_after_days - 1') }}, {{ as_of_date() }}
        ) as held_to
    from met
    inner join steps on met.step_row = steps.step_row
    {%- if restating() %}

    union

    -- what was completed on the day before goes on from there
    select
        known.step_row,
        known.account_id,
        known.user_id,
        known.valid_from as held_from,
        {{ days_after('starts.first_date', -1) }} as held_to
    from {{ this }} as known
    inner join steps on known.step_row = steps.step_row
    inner join starts on known.account_id = starts.account_id
    where
        steps.trait is null
        and steps.expires_after_days is not null
        and known.valid_from < starts.first_date
        and known.valid_to >= {{ days_after('starts.first_date', -1) }}
    {%- endif %}

),

stretches as (

    {{ joined_stretches(
        'held', ['step_row', 'account_id', 'user_id'], 'held_from', 'held_to', 1
    ) }}

),

completions as (

    select * from kept

    union all

    select step_row, account_id, user_id, held_from as valid_from, held_to as valid_to
    from stretches
    {%- if restating() %}

    union all

    -- what had ended before stays as it was
    select known.step_row, known.account_id, known.user_id, known.valid_from, known.valid_to
    from {{ this }} as known
    inner join steps on known.step_row = steps.step_row
    left join starts on known.account_id = starts.account_id
    where
        steps.trait is null
        and steps.expires_after_days is not null
        and (
            starts.account_id is null
            or known.valid_to < {{ days_after('starts.first_date', -1) }}
        )
    {%- endif %}

)

select * from completions
