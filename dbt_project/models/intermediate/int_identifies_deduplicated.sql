-- One row per identify call that counts: screened, not waiting for a later as-of date, not
-- excluded, the first of its id.
{%- set columns = relation_columns(ref('int_identifies_screened')) %}
with

identifies as (

    select * from {{ ref('int_identifies_screened') }}

),

excluded as (

    select * from {{ ref('int_excluded_entities') }}

),

remaining as (

    select *
    from identifies
    where
        quarantine_reason is null
        and row_date <= {{ as_of_date() }}
        and coalesce(user_id, '') not in (select entity_id from excluded where entity = 'user')

),

ranked as (

    select
        *,
        row_number() over (
            partition by row_id
            order by
                row_at,
                received_at,
                user_id nulls first,
                anonymous_id nulls first
                {#- by name: the order of raw columns is that in which files brought them #}
                {%- for column in columns | sort(attribute='name')
                    if column.name.startswith('trait_') %}
                {{ ', ' ~ quoted(column.name) }} nulls first
                {%- endfor %}
        ) as copy_number
    from remaining

),

deduplicated as (

    select * from ranked where copy_number = 1

)

select * from deduplicated
