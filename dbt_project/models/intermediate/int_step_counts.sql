-- One row per event step row, entity (user_id empty: the account) and day on which the count over
-- its window changes.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_step_days', 'restated_on': ['account_id', 'date_day']
    }
) }}
{#- Text in place of a common table expression: what two read would be written down whole. -#}
{%- set key_days = ref('int_event_key_days') if not restating() else '(select * from '
    ~ ref('int_event_key_days')
    ~ ' where (account_id, event_date) in (select account_id, event_date from reach))' %}
{%- set step_days -%}
    (
        select
            steps.step_row,
            steps.level,
            steps.count_of,
            steps.within_days,
            event_key_days.account_id,
            event_key_days.user_id as actor_id,
            case when steps.level = 'user' then event_key_days.user_id else '' end as user_id,
            event_key_days.event_count,
            event_key_days.event_date
        from steps
        inner join {{ key_days }} as event_key_days on steps.event_key = event_key_days.event_key
        where steps.level = 'account' or event_key_days.user_id is not null
    ) as step_days
{%- endset %}
with

steps as (

    select * from {{ ref('int_step_rows') }} where event_key is not null

),

{%- if restating() %}

starts as (

    select account_id, min(date_day) as first_date
    from {{ ref('int_restated_step_days') }}
    group by 1

),

-- the days whose events enter or leave a window from the first day on
reach as (

    select
        account_id,
        {{ each_day(
            days_after('first_date', '-(select coalesce(max(within_days), 0) from steps)'),
            as_of_date()
        ) }} as event_date
    from starts

),

replaced as (

    select
        step_row,
        account_id,
        user_id,
        min_by(count_in_window - moved, date_day) as count_in_window
    from {{ superseded('int_step_counts') }}
    group by 1, 2, 3

),

-- the count before the first day that changes; where no row is replaced, that of the last run
openings as (

    select * from replaced

    union all

    select known.step_row, known.account_id, known.user_id, known.progress_count
    from {{ left_by_last_run('int_event_step_progress') }} as known
    left join replaced
        on
            known.step_row = replaced.step_row
            and known.account_id = replaced.account_id
            and known.user_id = replaced.user_id
    where replaced.step_row is null

),

{%- endif %}

entity_days as (

    -- of a user each day has one row already
    select step_row, account_id, user_id, count_of, within_days, event_date, event_count
    from {{ step_days }}
    where level = 'user'

    union all

    select
        step_row,
        account_id,
        user_id,
        count_of,
        within_days,
        event_date,
        sum(event_count) as event_count
    from {{ step_days }}
    where level = 'account'
    group by 1, 2, 3, 4, 5, 6

),

-- what enters the window on a day leaves it within_days later
ways as (

    select 'in' as way
    union all
    select 'out' as way

),

actor_days as (

    select
        step_row,
        account_id,
        user_id,
        actor_id,
        within_days,
        event_date,
        lag(event_date) over (
            partition by step_row, account_id, actor_id order by event_date
        ) as previous_date,
        lead(event_date) over (
            partition by step_row, account_id, actor_id order by event_date
        ) as next_date
    from {{ step_days }}
    where count_of = 'users' and within_days is not null and actor_id is not null

),

-- who counts for ever, from the first event
actors as (

    select
        steps.step_row,
        event_key_days.account_id,
        event_key_days.user_id as actor_id,
        case when steps.level = 'user' then event_key_days.user_id else '' end as user_id,
        min(event_key_days.event_date) as date_day
    from steps
    inner join {{ ref('int_event_key_days') }} as event_key_days
        on steps.event_key = event_key_days.event_key
    where
        steps.count_of = 'users'
        and steps.within_days is null
        and event_key_days.user_id is not null
    group by 1, 2, 3, 4

),

movements as (

    select
        entity_days.step_row,
        entity_days.account_id,
        entity_days.user_id,
        case ways.way
            when 'in' then entity_days.event_date
            else {{ days_after('entity_days.event_date', 'entity_days.within_days') }}
        end as date_day,
        case entity_days.count_of
            when 'events' then entity_days.event_count
            when 'days' then 1
            else 0
        end
        * case ways.way when 'in' then 1 else -1 end as moved,
        case ways.way when 'in' then 1 else 0 end as had_event
    from entity_days
    cross join ways
    where
        ways.way = 'in'
        or (entity_days.within_days is not null and entity_days.count_of <> 'users')

    union all

    -- a user counts from an event until within_days after it, once
    select
        actor_days.step_row,
        actor_days.account_id,
        actor_days.user_id,
        case ways.way
            when 'in' then actor_days.event_date
            else {{ days_after('actor_days.event_date', 'actor_days.within_days') }}
        end as date_day,
        case ways.way when 'in' then 1 else -1 end as moved,
        0 as had_event
    from actor_days
    cross join ways
    where
        (
            ways.way = 'in'
            and (
                actor_days.previous_date is null
                or actor_days.previous_date
                <= {{ days_after('actor_days.event_date', '-actor_days.within_days') }}
            )
        )
        or (
            ways.way = 'out'
            and (
                actor_days.next_date is null
                or actor_days.next_date
                >= {{ days_after('actor_days.event_date', 'actor_days.within_days') }}
            )
        )

    union all

    select
        step_row,
        account_id,
        user_id,
        date_day,
        1 as moved,
        0 as had_event
    from actors

),

daily as (

    select
        step_row,
        account_id,
        user_id,
        date_day,
        sum(moved) as moved,
        max(had_event) = 1 as had_event
    from movements
    where
        date_day <= {{ as_of_date() }}
        {{ and_restated('int_restated_step_days', ['account_id', 'date_day']) }}
    group by 1, 2, 3, 4

),

running as (

    select
        step_row,
        account_id,
        user_id,
        moved,
        sum(moved) over (
            partition by step_row, account_id, user_id
            order by date_day
            rows between unbounded preceding and current row
        ) as count_in_window,
        had_event,
        date_day
    from daily

),

counted as (

    {%- if restating() %}

    select
        running.step_row,
        running.account_id,
        running.user_id,
        running.moved,
        coalesce(openings.count_in_window, 0) + running.count_in_window as count_in_window,
        running.had_event,
        running.date_day
    from running
    left join openings
        on
            running.step_row = openings.step_row
            and running.account_id = openings.account_id
            and running.user_id = openings.user_id

    {%- else %}

    select * from running
    {%- endif %}

),

met as (

    select
        counted.step_row,
        counted.account_id,
        counted.user_id,
        cast(counted.moved as bigint) as moved,
        cast(counted.count_in_window as bigint) as count_in_window,
        counted.had_event and counted.count_in_window >= steps.min_count as is_met,
        counted.date_day
    from counted
    inner join steps on counted.step_row = steps.step_row

),

-- so that who asks for some days need not read all
by_day as (

    select * from met {{ 'order by date_day' if not restating() }}

)

select * from by_day
