-- One row per account and stretch of days with one status and plan, from first seen to the as-of
-- date without gaps.
{{ config(materialized='incremental') }}
with

accounts as (

    select * from {{ ref('int_accounts') }}

),

statuses as (

    select * from {{ ref('int_account_status_intervals') }}

),

traits as (

    select
        account_id,
        trait,
        trait_value,
        valid_from,
        coalesce(valid_to, {{ as_of_date() }}) as valid_to
    from {{ ref('int_account_trait_intervals') }}

),

plans as (

    select account_id, trait_value as plan, valid_from, valid_to
    from traits
    where trait = 'plan'

),

trial_ends as (

    select
        account_id,
        {{ reporting_date(utc_timestamp('trait_value')) }} as expiry_date,
        valid_from,
        valid_to
    from traits
    where trait = 'trial_ends_at'

),

changes as (

    select account_id, first_seen_date as change_date from accounts
    union
    select account_id, valid_from as change_date from statuses
    union
    select account_id, valid_from as change_date from plans
    union
    select account_id, valid_from as change_date from trial_ends
    union
    select account_id, expiry_date as change_date from trial_ends

),

stretches as (

    select
        changes.account_id,
        changes.change_date as valid_from,
        coalesce(
            {{ days_after(
                'lead(changes.change_date) over (
                    partition by changes.account_id order by changes.change_date
                )', -1
            ) }},
            {{ as_of_date() }}
        ) as valid_to
    from changes
    inner join accounts on changes.account_id = accounts.account_id
    where changes.change_date between accounts.first_seen_date and {{ as_of_date() }}

),

states as (

    select
        stretches.account_id,
        case
            when statuses.account_status is null then 'unknown'
            when
                statuses.account_status = 'trial'
                and trial_ends.expiry_date <= stretches.valid_from
                then 'expired'
            else statuses.account_status
        end as account_status,
        plans.plan,
        stretches.valid_from,
        stretches.valid_to
    from stretches
    left join statuses
        on
            stretches.account_id = statuses.account_id
            and stretches.valid_from between statuses.valid_from and statuses.valid_to
    left join plans
        on
            stretches.account_id = plans.account_id
            and stretches.valid_from between plans.valid_from and plans.valid_to
    left join trial_ends
        on
            stretches.account_id = trial_ends.account_id
            and stretches.valid_from between trial_ends.valid_from and trial_ends.valid_to

)

select * from states
