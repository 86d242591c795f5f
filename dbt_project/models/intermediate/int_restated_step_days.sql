-- One row per account and day from the first on which the counts of its steps may change.
{%- if not restating() %}
select account_id, first_seen_date as date_day from {{ ref('int_accounts') }} where false
{%- else %}
with

accounts as (

    select * from {{ ref('int_accounts') }}

),

events_changed as (

    {{ changed_rows(
        'int_event_key_days', ['account_id', 'event_date'], ['user_id', 'event_key', 'event_count'],
        scope='true ' ~ and_restated_cells()
    ) }}

),

steps_changed as (

    {{ changed_rows(
        'int_step_rows', ['step_row'],
        [
            'level', 'event_key', 'trait', 'trait_value', 'count_of', 'min_count', 'within_days',
            'expires_after_days',
        ]
    ) }}

),

reached as (

    select account_id, event_date as date_day from events_changed

    union all

    select account_id, greatest(first_seen_date, {{ first_new_day() }}) as date_day from accounts

    union all

    select account_id, first_seen_date as date_day
    from accounts
    where exists (select step_row from steps_changed)

),

starts as (

    select account_id, min(date_day) as first_date from reached group by account_id

),

days as (

    select account_id, {{ each_day('first_date', as_of_date()) }} as date_day from starts

)

select * from days
{%- endif %}
