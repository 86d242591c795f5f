-- One row per step row, entity (user_id empty: the account) and unbroken stretch of days on which
-- the step is completed.
{{ config(materialized='incremental') }}
with

steps as (

    select * from {{ ref('int_step_rows') }}

),

met as (

    select * from {{ ref('int_step_met_intervals') }}

),

{%- if restating() %}

starts as (

    select account_id, min(date_day) as first_date
    from {{ ref('int_restated_step_days') }}
    group by account_id

),

{%- endif %}

-- a step without expiry stays completed; with expiry it holds until expires_after_days after it
-- was last met
held as (

    select
        met.step_row,
        met.account_id,
        met.user_id,
        met.met_from as held_from,
        case
            when steps.expires_after_days is null then {{ as_of_date() }}
            else least(
                {{ days_after('met.met_to', 'steps.expires_after_days - 1') }}, {{ as_of_date() }}
            )
        end as held_to
    from met
    inner join steps on met.step_row = steps.step_row
    {%- if restating() %}
    left join starts on met.account_id = starts.account_id
    where
        steps.trait is not null
        or met.met_from
        >= {{ days_after('starts.first_date', '-coalesce(steps.expires_after_days, 0)') }}

    union

    -- what was completed on the day before goes on from there
    select
        known.step_row,
        known.account_id,
        known.user_id,
        known.valid_from as held_from,
        case
            when steps.expires_after_days is null then {{ as_of_date() }}
            else {{ days_after('starts.first_date', -1) }}
        end as held_to
    from {{ this }} as known
    inner join steps on known.step_row = steps.step_row and steps.trait is null
    inner join starts on known.account_id = starts.account_id
    where
        known.valid_from < starts.first_date
        and known.valid_to >= {{ days_after('starts.first_date', -1) }}
    {%- endif %}

),

compared as (

    select
        *,
        max(held_to) over (
            partition by step_row, account_id, user_id
            order by held_from, held_to
            rows between unbounded preceding and 1 preceding
        ) as held_until
    from held

),

numbered as (

    select
        *,
        sum(
            case
                when held_until is null then 1
                when held_from > {{ days_after('held_until', 1) }} then 1
                else 0
            end
        ) over (
            partition by step_row, account_id, user_id
            order by held_from, held_to
            rows between unbounded preceding and current row
        ) as stretch_number
    from compared

),

completions as (

    select
        step_row,
        account_id,
        user_id,
        min(held_from) as valid_from,
        max(held_to) as valid_to
    from numbered
    group by step_row, account_id, user_id, stretch_number
    {%- if restating() %}

    union all

    -- what had ended before stays as it was
    select known.step_row, known.account_id, known.user_id, known.valid_from, known.valid_to
    from {{ this }} as known
    inner join steps on known.step_row = steps.step_row and steps.trait is null
    left join starts on known.account_id = starts.account_id
    where
        starts.account_id is null
        or known.valid_to < {{ days_after('starts.first_date', -1) }}
    {%- endif %}

)

select * from completions
