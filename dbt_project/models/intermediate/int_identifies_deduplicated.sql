-- One row per identify call that counts: screened, not waiting for a later as-of date, not
-- excluded, the first of its id.
{%- set remaining -%}
    select *
    from {{ ref('int_identifies_screened') }}
    where
        quarantine_reason is null
        and row_date <= {{ as_of_date() }}
        and coalesce(user_id, '') not in (select entity_id from excluded where entity = 'user')
{%- endset %}
with

excluded as (

    select * from {{ ref('int_excluded_entities') }}

),

deduplicated as (

    {{ first_copies(remaining, ref('int_identifies_screened'), ['user_id', 'anonymous_id']) }}

)

select * from deduplicated
