-- One row per account, user (null: unknown) and stretch of days with events, none of which is more
-- than member_days after the one before.
{{ config(materialized='incremental') }}
with

event_days as (

    select * from {{ ref('int_event_days') }}

),

{%- if restating() %}

starts as (

    select account_id, min(event_date) as first_date
    from {{ ref('int_restated_cells') }}
    group by account_id

),

-- what reaches an account's first day that may change, up to that day; until then it is the same
reached as (

    select
        known.account_id,
        known.user_id,
        known.first_event_date,
        least(
            known.last_event_date, {{ days_after('starts.first_date', -1) }}
        ) as last_event_date
    from {{ this }} as known
    inner join starts on known.account_id = starts.account_id
    where
        known.first_event_date < starts.first_date
        and {{ days_after('known.last_event_date', var('member_days')) }} >= starts.first_date

),

range as (

    select {{ each_day(
        days_after('min(first_date)', -var('member_days')), as_of_date()
    ) }} as date_day
    from starts

),

{%- endif %}

active_days as (

    {%- if restating() %}

    select distinct event_days.account_id, event_days.user_id, event_days.event_date
    from event_days
    inner join starts on event_days.account_id = starts.account_id
    where
        event_days.event_date in (select date_day from range)
        and {{ days_after('event_days.event_date', var('member_days')) }} >= starts.first_date

    {%- else %}

    select distinct account_id, user_id, event_date from event_days
    {%- endif %}

),

compared as (

    select
        *,
        lag(event_date) over (partition by account_id, user_id order by event_date)
            as previous_date
    from active_days

),

numbered as (

    select
        *,
        sum(
            case
                when previous_date is null then 1
                when event_date > {{ days_after('previous_date', var('member_days')) }} then 1
                else 0
            end
        ) over (
            partition by account_id, user_id
            order by event_date
            rows between unbounded preceding and current row
        ) as stretch_number
    from compared

),

stretches as (

    select
        account_id,
        user_id,
        min(event_date) as first_event_date,
        max(event_date) as last_event_date
    from numbered
    group by account_id, user_id, stretch_number

){{ ',' if restating() }}
{%- if restating() %}

whole as (

    select
        stretches.account_id,
        stretches.user_id,
        coalesce(reached.first_event_date, stretches.first_event_date) as first_event_date,
        stretches.last_event_date
    from stretches
    left join reached
        on
            stretches.account_id = reached.account_id
            and coalesce(stretches.user_id, '') = coalesce(reached.user_id, '')
            and stretches.first_event_date
            between reached.first_event_date and reached.last_event_date

    union all

    -- what had ended before stays as it was
    select known.account_id, known.user_id, known.first_event_date, known.last_event_date
    from {{ this }} as known
    left join starts on known.account_id = starts.account_id
    where
        starts.account_id is null
        or {{ days_after('known.last_event_date', var('member_days')) }} < starts.first_date

)

select * from whole
{%- else %}

select * from stretches
{%- endif %}
