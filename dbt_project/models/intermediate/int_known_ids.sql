-- One row per id of a user or account that any raw row names.
{{ config(materialized='incremental', meta={'restated_on': ['entity', 'entity_id']}) }}
with

tracks as (

    select distinct user_id, account_id
    from {{ ref('stg_tracks') }}
    where {{ was_delivered('load_id') }}

),

identifies as (

    select * from {{ ref('stg_identifies') }} where {{ was_delivered('load_id') }}

),

groups as (

    select * from {{ ref('stg_groups') }} where {{ was_delivered('load_id') }}

),

named as (

    select 'user' as entity, user_id as entity_id from tracks
    union
    select 'user' as entity, user_id as entity_id from identifies
    union
    select 'user' as entity, user_id as entity_id from groups
    union
    select 'account' as entity, account_id as entity_id from tracks
    union
    select 'account' as entity, account_id as entity_id from groups

),

ids as (

    select * from named where entity_id is not null

)

select * from ids
