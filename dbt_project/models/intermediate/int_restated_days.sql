-- One row per day on which daily marts may change: new, or reached by what was delivered; when
-- everything is built anew, every day.
with

days as (

    {%- if restating() %}

    select {{ each_day(first_new_day(), as_of_date()) }} as date_day

    union

    select event_date as date_day from {{ ref('int_restated_cells') }}

    union

    select date_day from {{ ref('int_restated_user_days') }}

    union

    select date_day
    from (
        {{ changed_days('int_account_states', ['account_id', 'account_status', 'plan']) }}
    ) as states

    {%- else %}

    select {{ each_day('min(valid_from)', as_of_date()) }} as date_day
    from {{ ref('int_account_states') }}
    {%- endif %}

)

select * from days
