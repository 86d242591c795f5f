-- One row per basis, account, user ever seen there and day on which the user's activation or
-- membership changes.
{%- set measures = ['applicable_count', 'completed_units', 'completed_count', 'member_count'] %}
with

movements as (

    select * from {{ ref('int_activation_movements') }} where level = 'user'

),

members as (

    select * from {{ ref('int_membership_intervals') }}

),

user_accounts as (

    select * from {{ ref('int_user_accounts') }}

),

bases as (

    select 'scored' as basis
    union all
    select 'restated' as basis

),

changes as (

    select
        basis, account_id, user_id, date_day,
        0 as applicable_count,
        completed_units, completed_count, 0 as member_count
    from movements
    where user_id <> ''

    union all

    -- what applies changes for every user of the account at once
    select
        movements.basis, movements.account_id, user_accounts.user_id, movements.date_day,
        movements.applicable_count,
        0 as completed_units, 0 as completed_count, 0 as member_count
    from movements
    inner join user_accounts on movements.account_id = user_accounts.account_id
    where movements.user_id = ''

    union all

    select
        bases.basis, members.account_id, members.user_id, members.valid_from as date_day,
        0 as applicable_count,
        0 as completed_units, 0 as completed_count, 1 as member_count
    from members
    cross join bases

    union all

    select
        bases.basis, members.account_id, members.user_id,
        {{ days_after('members.valid_to', 1) }} as date_day,
        0 as applicable_count,
        0 as completed_units, 0 as completed_count, -1 as member_count
    from members
    cross join bases

),

daily as (

    select
        basis, account_id, user_id, date_day,
        cast(sum(applicable_count) as bigint) as applicable_count,
        cast(sum(completed_units) as bigint) as completed_units,
        cast(sum(completed_count) as bigint) as completed_count,
        cast(sum(member_count) as bigint) as member_count
    from changes
    where date_day <= {{ as_of_date() }}
    group by basis, account_id, user_id, date_day

),

running as (

    select
        basis,
        account_id,
        user_id,
        {%- for measure in measures %}
        cast(sum({{ measure }}) over (
            partition by basis, account_id, user_id
            order by date_day
            rows between unbounded preceding and current row
        ) as bigint) as {{ measure }},
        {%- endfor %}
        date_day
    from daily

),

described as (

    select
        basis,
        account_id,
        user_id,
        completed_units,
        applicable_count > 0 and completed_count = applicable_count as is_activated,
        member_count > 0 as is_member,
        date_day
    from running

)

select * from described
