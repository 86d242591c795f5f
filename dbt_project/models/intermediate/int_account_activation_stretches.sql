-- One row per account and stretch of days, from first seen to the as-of date, on which its rates,
-- as scored and restated, stay the same.
{{ config(materialized='incremental') }}
{%- set bases = ['scored', 'restated'] %}
{%- set measures = [
    'step_units', 'step_count', 'completed_units', 'completed_count',
    'user_step_units', 'user_completed_units',
    'user_count', 'activated_user_count',
] %}
with

states as (

    select * from {{ ref('int_account_states') }}

),

step_movements as (

    select * from {{ ref('int_activation_movements') }} where user_id = ''

),

user_changes as (

    select * from {{ ref('int_user_activation_changes') }}

),

-- what each user adds to the sums of the account from a day on
contributions as (

    select
        basis,
        account_id,
        user_id,
        case when is_member then completed_units else 0 end as user_completed_units,
        case when is_member then 1 else 0 end as user_count,
        case when is_member and is_activated then 1 else 0 end as activated_user_count,
        date_day
    from user_changes

),

movements as (

    select
        basis,
        account_id,
        case when level = 'account' then applicable_units else 0 end as step_units,
        case when level = 'account' then applicable_count else 0 end as step_count,
        case when level = 'account' then completed_units else 0 end as completed_units,
        case when level = 'account' then completed_count else 0 end as completed_count,
        case when level = 'user' then applicable_units else 0 end as user_step_units,
        0 as user_completed_units,
        0 as user_count,
        0 as activated_user_count,
        date_day
    from step_movements

    union all

    select
        basis,
        account_id,
        0 as step_units,
        0 as step_count,
        0 as completed_units,
        0 as completed_count,
        0 as user_step_units,
        {%- for measure in ['user_completed_units', 'user_count', 'activated_user_count'] %}
        {{ measure }} - coalesce(
            lag({{ measure }}) over (partition by basis, account_id, user_id order by date_day), 0
        ) as {{ measure }},
        {%- endfor %}
        date_day
    from contributions

    union all

    select
        'scored' as basis,
        account_id,
        0 as step_units,
        0 as step_count,
        0 as completed_units,
        0 as completed_count,
        0 as user_step_units,
        0 as user_completed_units,
        0 as user_count,
        0 as activated_user_count,
        valid_from as date_day
    from states

),

-- both bases side by side
changes as (

    select
        account_id,
        {%- for basis in bases %}
        {%- for measure in measures %}
        cast(sum(case when basis = '{{ basis }}' then {{ measure }} else 0 end) as bigint)
            as {{ basis }}_{{ measure }},
        {%- endfor %}
        {%- endfor %}
        date_day
    from movements
    group by account_id, date_day

),

running as (

    select
        states.account_id,
        states.account_status,
        states.plan,
        {%- for basis in bases %}
        {%- for measure in measures %}
        cast(sum(changes.{{ basis }}_{{ measure }}) over (
            partition by states.account_id
            order by changes.date_day
            rows between unbounded preceding and current row
        ) as bigint) as {{ basis }}_{{ measure }},
        {%- endfor %}
        {%- endfor %}
        changes.date_day as valid_from,
        coalesce(
            {{ days_after(
                'lead(changes.date_day) over (
                    partition by states.account_id order by changes.date_day
                )', -1
            ) }},
            {{ as_of_date() }}
        ) as valid_to
    from changes
    inner join states
        on
            changes.account_id = states.account_id
            and changes.date_day between states.valid_from and states.valid_to

),

-- every member of an account has the same applicable steps, so one division gives their mean rate;
-- a mean is taken of exact rates and rounded once
rated as (

    select
        account_id,
        account_status,
        plan,
        scored_step_count as step_count,
        scored_completed_count as completed_step_count,
        scored_user_count as user_count,
        scored_activated_user_count as activated_user_count,
        {%- for basis in bases %}
        {%- set units = basis ~ '_step_units' %}
        {%- set done = basis ~ '_completed_units' %}
        {%- set user_units = '(' ~ basis ~ '_user_step_units * ' ~ basis ~ '_user_count)' %}
        {%- set user_done = basis ~ '_user_completed_units' %}
        {{ exact_ratio(done, units) }} as activation_rate_{{ basis }},
        {{ exact_ratio(wide(user_done), user_units) }} as user_activation_rate_{{ basis }},
        case
            when {{ units }} = 0 then {{ exact_ratio(wide(user_done), user_units) }}
            when {{ user_units }} = 0 then {{ exact_ratio(done, units) }}
            else {{ exact_ratio(
                wide(done) ~ ' * ' ~ user_units ~ ' + ' ~ wide(user_done) ~ ' * ' ~ units,
                '2 * ' ~ wide(units) ~ ' * ' ~ user_units
            ) }}
        end as readiness_rate_{{ basis }},
        {%- endfor %}
        scored_step_count > 0 and scored_completed_count = scored_step_count as is_activated,
        valid_from,
        valid_to
    from running

)

select * from rated
