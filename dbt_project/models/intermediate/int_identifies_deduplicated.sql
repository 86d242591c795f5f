-- One row per identify call that counts: screened, not waiting for a later as-of date, not
-- excluded, the first of its id.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_identifies', 'restated_on': ['row_id'], 'is_long': true,
        'has_raw_columns': true,
    }
) }}
with

deduplicated as (

    {{ counting_calls(
        ref('int_identifies_screened'), 'int_restated_identifies', ['user_id', 'anonymous_id']
    ) }}

)

select * from deduplicated
