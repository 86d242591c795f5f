-- One row per user or account, trait and value that any raw row says of them.
{{ config(
    materialized='incremental',
    meta={'restated_on': ['entity', 'entity_id', 'trait', 'trait_value']}
) }}
with

identifies as (

    select * from {{ ref('stg_identifies') }} where {{ was_delivered('load_id') }}

),

groups as (

    select * from {{ ref('stg_groups') }} where {{ was_delivered('load_id') }}

),

said as (

    select 'user' as entity, user_id as entity_id, trait, trait_value
    from ({{ traits_long(ref('stg_identifies'), ['user_id'], 'identifies') }}) as of_users

    union

    select 'account' as entity, account_id as entity_id, trait, trait_value
    from ({{ traits_long(ref('stg_groups'), ['account_id'], 'groups') }}) as of_accounts

),

traits as (

    select * from said where entity_id is not null

)

select * from traits
