-- One row per difference between the as-of table and the last day of the daily table.
with

as_of as (

    select score_model, account_id, engagement_points, engagement_score, benchmark_points
    from {{ ref('account_engagement') }}

),

last_day as (

    select score_model, account_id, engagement_points, engagement_score, benchmark_points
    from {{ ref('account_engagement_daily') }}
    where {{ adapter.quote('date') }} = {{ as_of_date() }}

),

differing as (

    (
        select * from as_of
        except
        select * from last_day
    )

    union all

    (
        select * from last_day
        except
        select * from as_of
    )

)

select * from differing
