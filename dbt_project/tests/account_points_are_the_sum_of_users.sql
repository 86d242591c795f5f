-- One row per score model, account and day on which its points are not the sum of its members'
-- points.
with

accounts as (

    select score_model, account_id, {{ adapter.quote('date') }} as date_day, engagement_points
    from {{ ref('account_engagement_daily') }}
    where true {{ and_restated('int_restated_days', ['date'], ['date_day']) }}

),

users as (

    select score_model, account_id, {{ adapter.quote('date') }} as date_day, engagement_points
    from {{ ref('user_engagement_daily') }}
    where true {{ and_restated('int_restated_days', ['date'], ['date_day']) }}

),

summed as (

    select score_model, account_id, date_day, sum(engagement_points) as engagement_points
    from users
    group by 1, 2, 3

),

differing as (

    select
        coalesce(accounts.score_model, summed.score_model) as score_model,
        coalesce(accounts.account_id, summed.account_id) as account_id,
        coalesce(accounts.date_day, summed.date_day) as date_day,
        accounts.engagement_points,
        summed.engagement_points as summed_points
    from accounts
    full outer join summed
        on
            accounts.score_model = summed.score_model
            and accounts.account_id = summed.account_id
            and accounts.date_day = summed.date_day
    where
        accounts.account_id is null
        or accounts.engagement_points <> coalesce(summed.engagement_points, 0)

)

select * from differing
