-- The numbers of events whose user and account are found anew, some of them more than once: judged
-- anew, or of a device or user whose owner or accounts changed.
{%- if not restating() %}
select event_number from {{ ref('int_restated_events') }} where false
{%- else %}
with

users_changed as (

    {{ changed_rows(
        'int_user_account_intervals', ['user_id'],
        ['account_id', 'has_several_accounts', 'valid_from', 'valid_before']
    ) }}

),

-- the table is named twice: a common table expression would be written down whole
reattributed as (

    select event_number from {{ ref('int_restated_events') }}

    union all

    select event_number
    from {{ left_by_last_run('int_resolved_events') }}
    where anonymous_id in (select anonymous_id from {{ ref('int_restated_devices') }})

    union all

    select event_number
    from {{ left_by_last_run('int_resolved_events') }}
    where is_account_inferred and user_id in (select user_id from users_changed)

)

select * from reattributed
{%- endif %}
