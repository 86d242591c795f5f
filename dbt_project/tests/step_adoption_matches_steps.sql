-- One row per step and status whose adoption on the as-of date is not what the steps of accounts
-- and members give.
with

accounts as (

    select * from {{ ref('accounts') }}

),

account_steps as (

    select * from {{ ref('account_activation_steps') }}

),

user_steps as (

    select * from {{ ref('user_activation_steps') }}

),

adoption as (

    select step_key, account_status, eligible_count, completed_count
    from {{ ref('step_adoption') }}
    where {{ adapter.quote('date') }} = {{ as_of_date() }}

),

applicable as (

    select account_id, step_key, is_completed from account_steps where is_applicable
    union all
    select account_id, step_key, is_completed from user_steps where is_applicable and is_member

),

counted as (

    select
        applicable.step_key,
        accounts.account_status,
        count(*) as eligible_count,
        count(case when applicable.is_completed then 1 end) as completed_count
    from applicable
    inner join accounts on applicable.account_id = accounts.account_id
    group by 1, 2

),

differing as (

    (
        select * from adoption
        except
        select * from counted
    )

    union all

    (
        select * from counted
        except
        select * from adoption
    )

)

select * from differing
