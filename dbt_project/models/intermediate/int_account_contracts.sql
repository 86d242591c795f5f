-- One row per account, trait of its contract or trial and day from which it has its value.
with

traits as (

    select * from {{ ref('int_account_trait_intervals') }}

),

contracts as (

    select
        account_id,
        trait,
        case when trait in ('seats', 'mrr') then cast(trait_value as bigint) end as trait_count,
        case
            when trait not in ('seats', 'mrr')
                then {{ reporting_date(utc_timestamp('trait_value')) }}
        end as trait_date,
        valid_from
    from traits
    where trait in ('seats', 'mrr', 'trial_ends_at', 'contract_started_at', 'contract_ends_at')

)

select * from contracts
