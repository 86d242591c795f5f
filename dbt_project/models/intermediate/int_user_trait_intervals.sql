-- One row per user, trait and stretch of days in which the trait has one value.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_user_traits', 'restated_on': ['user_id']}
) }}
{%- set calls = ref('int_identifies_deduplicated') %}
{%- set calls_since = 'select calls.* from ' ~ calls ~ ' as calls inner join restated'
    ~ ' on calls.user_id = restated.user_id where calls.row_date >= restated.first_date' %}
with

{%- if restating() %}

restated as (

    select * from {{ ref('int_restated_user_traits') }}

),

-- before the first day that changes all stays as it is
known as (

    select known.user_id, known.trait, known.trait_value, known.valid_from as row_date
    from {{ superseded('int_user_trait_intervals') }} as known
    inner join restated on known.user_id = restated.user_id
    where known.valid_from < restated.first_date

),

told as (

    {{ traits_by_day(calls, 'user_id', calls_since) }}

),

traits as (

    select user_id, trait, trait_value, row_date from known

    union all

    select user_id, trait, trait_value, row_date from told

),
{%- else %}

traits as (

    {{ traits_by_day(calls, 'user_id') }}

),
{%- endif %}

intervals as (

    {{ trait_intervals('select * from traits', 'user_id') }}

)

select * from intervals
