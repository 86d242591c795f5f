-- One row per account, user and day on which the user's points or membership may change, or the
-- status by which the account is scored.
{%- if not restating() %}
select account_id, user_id, valid_from as date_day
from {{ ref('int_membership_intervals') }}
where false
{%- else %}
with

members as (

    select * from {{ ref('int_membership_intervals') }}

),

user_accounts as (

    select * from {{ ref('int_user_accounts') }}

),

score_models as (

    select * from {{ ref('score_models') }}

),

points_changed as (

    {{ changed_rows(
        'int_point_days', ['score_model', 'account_id', 'user_id', 'event_date'],
        ['event_count', 'day_points'],
        scope='true '
            ~ and_restated('int_restated_cells', ['account_id', 'user_id', 'event_date'])
    ) }}

),

states_changed as (

    {{ changed_days('int_account_states', ['account_id', 'account_status', 'plan']) }}

),

days as (

    select
        points_changed.account_id,
        points_changed.user_id,
        {{ each_day(
            'points_changed.event_date',
            days_after('points_changed.event_date', 'score_models.window_days - 1')
        ) }} as date_day
    from points_changed
    inner join score_models on points_changed.score_model = score_models.score_model

    union

    select account_id, user_id, date_day
    from ({{ changed_days('int_membership_intervals', ['account_id', 'user_id']) }}) as members

    union

    select states_changed.account_id, user_accounts.user_id, states_changed.date_day
    from states_changed
    inner join user_accounts on states_changed.account_id = user_accounts.account_id

    union

    select
        account_id,
        user_id,
        {{ each_day('greatest(valid_from, ' ~ first_new_day() ~ ')', 'valid_to') }} as date_day
    from members

),

restated as (

    select * from days where date_day <= {{ as_of_date() }}

)

select * from restated
{%- endif %}
