-- One row per anonymous id, user and instant at which an identify call tied them.
{{ config(materialized='incremental') }}
with

identifies as (

    select * from {{ ref('int_identifies_deduplicated') }}

),

identifying as (

    select distinct
        anonymous_id,
        user_id,
        row_at as identified_at
    from identifies
    where anonymous_id is not null and user_id is not null

)

select * from identifying
