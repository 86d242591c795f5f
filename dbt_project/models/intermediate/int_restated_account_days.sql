-- One row per account and day on which the account's points, status or members' scores may change.
{%- if not restating() %}
select account_id, valid_from as date_day from {{ ref('int_account_states') }} where false
{%- else %}
with

states as (

    select * from {{ ref('int_account_states') }}

),

days as (

    select account_id, date_day from {{ ref('int_restated_user_scores') }}

    union

    select account_id, date_day
    from (
        {{ changed_days('int_account_states', ['account_id', 'account_status', 'plan']) }}
    ) as states

    union

    select
        account_id,
        {{ each_day('greatest(valid_from, ' ~ first_new_day() ~ ')', 'valid_to') }} as date_day
    from states

)

select * from days
{%- endif %}
