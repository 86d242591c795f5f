-- One row per account: what a customer-success manager reads first, for the default score model.
{{ config(tags=['after_signals']) }} -- reads what the Python assets write
with

accounts as (

    select * from {{ ref('accounts') }}

),

activation as (

    select * from {{ ref('account_activation') }}

),

engagement as (

    select * from {{ ref('account_engagement') }} where is_default_model

),

trends as (

    select * from {{ source('signals', 'account_score_trends') }} where is_default_model

),

flags as (

    select * from {{ source('signals', 'account_flags') }}

),

churn_risk as (

    select * from {{ source('signals', 'account_churn_risk') }}

),

flag_counts as (

    select
        account_id,
        count(case when kind = 'risk' then 1 end) as open_risk_count,
        count(case when kind = 'opportunity' then 1 end) as open_opportunity_count
    from flags
    group by 1

),

-- risks before opportunities, the severest first
ranked_flags as (

    select
        account_id,
        flag_key,
        sentence,
        opened_date,
        row_number() over (
            partition by account_id
            order by
                case kind when 'risk' then 1 else 2 end,
                case severity when 'high' then 1 when 'medium' then 2 else 3 end,
                flag_key
        ) as flag_rank
    from flags

),

health as (

    select
        accounts.account_id,
        accounts.account_name,
        {{ json_property('accounts.traits', "'owner'") }} as account_owner,
        accounts.plan,
        accounts.account_status,
        activation.missing_steps,
        engagement.engagement_level,
        engagement.temperature,
        trends.trend,
        ranked_flags.flag_key as first_flag_key,
        ranked_flags.sentence as first_reason,
        churn_risk.ranking as churn_risk_ranking,
        churn_risk.first_reason as churn_risk_first_reason,
        churn_risk.second_reason as churn_risk_second_reason,
        accounts.seat_count,
        accounts.mrr,
        accounts.user_count,
        activation.activation_rate,
        activation.user_activation_rate,
        activation.readiness_rate,
        engagement.engagement_points,
        engagement.engagement_score,
        engagement.score_change,
        engagement.active_user_count,
        engagement.active_user_rate,
        engagement.top_user_share,
        trends.baseline_ratio,
        trends.slope_points_per_week,
        churn_risk.churn_risk_rate,
        churn_risk.churn_risk_rank,
        coalesce(flag_counts.open_risk_count, 0) as open_risk_count,
        coalesce(flag_counts.open_opportunity_count, 0) as open_opportunity_count,
        {{ dbt.datediff(as_of_date(), 'accounts.contract_ends_date', 'day') }} as contract_end_days,
        activation.is_activated,
        coalesce(engagement.is_active, false) as is_active,
        ranked_flags.opened_date as first_flag_opened_date,
        accounts.trial_ends_date,
        accounts.contract_ends_date,
        accounts.last_seen_date,
        activation.as_of_date
    from accounts
    inner join activation on accounts.account_id = activation.account_id
    left join engagement on accounts.account_id = engagement.account_id
    left join trends on accounts.account_id = trends.account_id
    left join churn_risk on accounts.account_id = churn_risk.account_id
    left join flag_counts on accounts.account_id = flag_counts.account_id
    left join ranked_flags
        on accounts.account_id = ranked_flags.account_id and ranked_flags.flag_rank = 1

)

select * from health
