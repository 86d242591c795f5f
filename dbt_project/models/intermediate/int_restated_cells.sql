-- One row per account, user (empty: unknown) and day whose attributed events changed.
{%- if not restating() %}
select account_id, user_id, event_date from {{ ref('int_event_changes') }} where false
{%- else %}
{%- set attributed = ref('int_events_attributed') %}
{#- Text in place of a common table expression: what two read would be written down whole. -#}
{%- set changes -%}
    (
        select * from {{ ref('int_event_changes') }} where fate = 'kept' and account_id is not null
    ) as changes
{%- endset %}
with

known as (

    select event_number from {{ changes }} where delta = -1

),

changed as (

    -- most events were not there before
    select account_id, user_id, event_date
    from {{ changes }}
    where event_number not in (select event_number from known)

    union

    select account_id, user_id, event_date
    from {{ changes }}
    where event_number in (select event_number from known)
    group by account_id, user_id, event_date, event_number, key_set
    having sum(delta) <> 0
    {%- if var('restate_from') %}

    -- and those of the days that were asked for, as they were and as they are
    union

    select account_id, user_id, event_date
    from {{ left_by_last_run('int_event_days') }}
    where event_date >= {{ first_new_day() }}

    union

    select account_id, user_id, event_date
    from {{ attributed }}
    where account_id is not null and event_date >= {{ first_new_day() }}
    {%- endif %}

),

restated as (

    select account_id, coalesce(user_id, '') as user_id, event_date from changed

)

select * from restated
{%- endif %}
