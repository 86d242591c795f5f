-- One row per account and day whose activation may change: new, or said otherwise than before.
{%- if not restating() %}
select account_id, valid_from as date_day
from {{ ref('int_account_activation_stretches') }}
where false
{%- else %}
with

stretches as (

    select * from {{ ref('int_account_activation_stretches') }}

),

changed as (

    {{ changed_days('int_account_activation_stretches', [
        'account_id', 'account_status', 'plan', 'step_count', 'completed_step_count', 'user_count',
        'activated_user_count', 'activation_rate_scored', 'user_activation_rate_scored',
        'readiness_rate_scored', 'activation_rate_restated', 'user_activation_rate_restated',
        'readiness_rate_restated',
    ]) }}

),

days as (

    select account_id, date_day from changed

    union

    select
        account_id,
        {{ each_day('greatest(valid_from, ' ~ first_new_day() ~ ')', 'valid_to') }} as date_day
    from stretches

)

select * from days
{%- endif %}
