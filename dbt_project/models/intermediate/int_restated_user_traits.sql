-- One row per user of whom calls were judged anew, with the first day of a call that counts or did.
{%- if not restating() %}
select user_id, row_date as first_date
from {{ ref('int_identifies_deduplicated') }} where false
{%- else %}
with

calls as (

    select user_id, row_date
    from {{ superseded('int_identifies_deduplicated') }}
    where user_id is not null

    union all

    select user_id, row_date
    from {{ renewed('int_identifies_deduplicated') }}
    where user_id is not null

),

users as (

    select user_id, min(row_date) as first_date from calls group by user_id

)

select * from users
{%- endif %}
