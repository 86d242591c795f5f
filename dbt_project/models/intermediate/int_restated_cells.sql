-- One row per account and day whose attributed events changed.
{%- if not restating() %}
select account_id, event_date from {{ ref('int_events_attributed') }} where false
{%- else %}
with

cells as (

    {{ changed_rows(
        'int_events_attributed', ['account_id', 'event_date'], ['event_id', 'user_id', 'key_set'],
        scope='event_id in (select event_id from ' ~ ref('int_reattributed_events') ~ ')'
    ) }}

),

restated as (

    select * from cells where account_id is not null

    {%- if var('restate_from') %}

    -- and those of the days that were asked for, as they were and as they are
    union

    select account_id, event_date
    from {{ left_by_last_run('int_event_days') }}
    where event_date >= {{ first_new_day() }}

    union

    select account_id, event_date
    from {{ ref('int_events_attributed') }}
    where account_id is not null and event_date >= {{ first_new_day() }}
    {%- endif %}

)

select * from restated
{%- endif %}
