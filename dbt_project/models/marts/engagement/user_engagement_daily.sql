-- One row per score model, account, user and day on which the user is a member of the scored
-- account.
{{ config(materialized='view') }} -- a table would repeat int_user_points_windowed
with

scored as (

    {{ scored_users(ref('int_user_points_windowed'), ref('int_user_benchmarks')) }}

)

select * from scored
