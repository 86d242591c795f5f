-- One row per user of whom an identify call counts that did not before, or no longer does.
{%- if not restating() %}
select user_id from {{ ref('int_identifies_deduplicated') }} where false
{%- else %}
with

calls as (

    select user_id from {{ superseded('int_identifies_deduplicated') }}
    union
    select user_id from {{ renewed('int_identifies_deduplicated') }}

),

users as (

    select * from calls where user_id is not null

)

select * from users
{%- endif %}
