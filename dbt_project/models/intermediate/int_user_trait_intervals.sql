-- One row per user, trait and stretch of days in which the trait has one value.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_traits', 'restated_on': ['user_id']}
) }}
with

intervals as (

    {{ trait_intervals(
        ref('int_identifies_deduplicated'), 'user_id',
        'true ' ~ and_restated('int_restated_traits', ['user_id'])
    ) }}

)

select * from intervals
