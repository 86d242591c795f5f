-- One row per trait step row, entity (user_id empty: the account) and stretch of days on which the
-- step is met.
with

steps as (

    select * from {{ ref('int_step_rows') }}

),

user_accounts as (

    select * from {{ ref('int_user_accounts') }}

),

user_traits as (

    select * from {{ ref('int_user_trait_intervals') }}

),

account_traits as (

    select * from {{ ref('int_account_trait_intervals') }}

),

met as (

    select
        steps.step_row,
        user_accounts.account_id,
        user_accounts.user_id,
        user_traits.valid_from as met_from,
        coalesce(user_traits.valid_to, {{ as_of_date() }}) as met_to
    from steps
    inner join user_traits on steps.trait = user_traits.trait
    inner join user_accounts on user_traits.user_id = user_accounts.user_id
    where
        steps.level = 'user'
        and user_traits.trait_value = coalesce(steps.trait_value, user_traits.trait_value)

    union all

    select
        steps.step_row,
        account_traits.account_id,
        '' as user_id,
        account_traits.valid_from as met_from,
        coalesce(account_traits.valid_to, {{ as_of_date() }}) as met_to
    from steps
    inner join account_traits on steps.trait = account_traits.trait
    where
        steps.level = 'account'
        and account_traits.trait_value = coalesce(steps.trait_value, account_traits.trait_value)

)

select * from met
