-- One row per account and day whose attributed events changed.
{%- if not restating() %}
select account_id, event_date from {{ ref('int_event_changes') }} where false
{%- else %}
{%- set attributed = ref('int_events_attributed') %}
with

changes as (

    select * from {{ ref('int_event_changes') }} where fate = 'kept' and account_id is not null

),

cells as (

    select account_id, event_date
    from changes
    group by account_id, event_date, event_number, user_id, key_set
    having sum(delta) <> 0

),

restated as (

    select distinct account_id, event_date from cells
    {%- if var('restate_from') %}

    -- and those of the days that were asked for, as they were and as they are
    union

    select account_id, event_date
    from {{ left_by_last_run('int_event_days') }}
    where event_date >= {{ first_new_day() }}

    union

    select account_id, event_date
    from {{ attributed }}
    where account_id is not null and event_date >= {{ first_new_day() }}
    {%- endif %}

)

select * from restated
{%- endif %}
