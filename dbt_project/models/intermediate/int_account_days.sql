-- One row per account and day from first seen to the as-of date.
with

states as (

    select * from {{ ref('int_account_states') }}

),

days as (

    select
        account_id,
        account_status,
        plan,
        {{ each_day('valid_from', 'valid_to') }} as date_day
    from states

)

select * from days
