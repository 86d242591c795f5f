-- One row per account, also after it canceled.
with

accounts as (

    select * from {{ ref('int_accounts') }}

),

states as (

    select * from {{ ref('int_account_states') }} where valid_to = {{ as_of_date() }}

),

traits as (

    select * from {{ ref('int_account_trait_intervals') }} where valid_to is null

),

user_accounts as (

    select * from {{ ref('user_accounts') }}

),

current_traits as (

    select
        account_id,
        {{ json_object_of('trait', 'trait_value') }} as traits,
        max(case when trait = 'name' then trait_value end) as account_name,
        max(case when trait = 'seats' then trait_value end) as seats,
        max(case when trait = 'mrr' then trait_value end) as mrr,
        max(case when trait = 'trial_ends_at' then trait_value end) as trial_ends_at,
        max(case when trait = 'contract_started_at' then trait_value end) as contract_started_at,
        max(case when trait = 'contract_ends_at' then trait_value end) as contract_ends_at,
        max(case when trait = 'canceled_at' then trait_value end) as canceled_at
    from traits
    group by 1

),

user_counts as (

    select account_id, count(*) as user_count from user_accounts where is_member group by 1

),

described as (

    select
        accounts.account_id,
        current_traits.account_name,
        states.plan,
        states.account_status,
        current_traits.traits,
        cast(current_traits.seats as bigint) as seat_count,
        cast(current_traits.mrr as bigint) as mrr,
        coalesce(user_counts.user_count, 0) as user_count,
        {%- for trait in ['trial_ends', 'contract_started', 'contract_ends', 'canceled'] %}
        {{ reporting_date(utc_timestamp('current_traits.' ~ trait ~ '_at')) }} as {{ trait }}_date,
        {%- endfor %}
        accounts.first_seen_date,
        accounts.last_seen_date
    from accounts
    inner join states on accounts.account_id = states.account_id
    left join current_traits on accounts.account_id = current_traits.account_id
    left join user_counts on accounts.account_id = user_counts.account_id

)

select * from described
