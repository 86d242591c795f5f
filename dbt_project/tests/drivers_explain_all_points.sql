-- One row per score model and account whose event keys do not make up its points, or whose shares
-- are not 1 in sum.
with

accounts as (

    select * from {{ ref('account_engagement') }}

),

drivers as (

    select * from {{ ref('account_engagement_drivers') }}

),

summed as (

    select
        score_model,
        account_id,
        sum(engagement_points) as engagement_points,
        sum(points_share) as points_share,
        count(*) as event_key_count
    from drivers
    group by 1, 2

),

-- every share is rounded to 6 places
differing as (

    select
        accounts.score_model,
        accounts.account_id,
        accounts.engagement_points,
        summed.engagement_points as summed_points,
        summed.points_share
    from accounts
    left join summed
        on
            accounts.score_model = summed.score_model
            and accounts.account_id = summed.account_id
    where
        accounts.engagement_points <> coalesce(summed.engagement_points, 0)
        or (
            accounts.is_active
            and abs(summed.points_share - 1) > 0.0000005 * summed.event_key_count
        )

)

select * from differing
