-- One row per user or account that an exclusion dial matches, by id or by a trait as of the as-of
-- date.
{{ config(materialized='incremental') }}
with

ids as (

    select * from {{ ref('int_known_ids') }}

),

exclusions as (

    select
        entity,
        case lower({{ adapter.quote('column') }})
            when 'group_id' then 'account_id' else lower({{ adapter.quote('column') }})
        end as trait,
        replace(
            replace(
                replace(replace(lower(pattern), '!', '!!'), '%', '!%'), '_', '!_'
            ),
            '*', '%'
        ) as like_pattern
    from {{ ref('exclusions') }}

),

-- excluded rows must still say why they are: all that could count, the first of each id
identifies as (

    select
        *,
        {{ copy_number(ref('int_identifies_screened'), ['user_id', 'anonymous_id']) }}
            as copy_number
    from {{ ref('int_identifies_screened') }}
    where quarantine_reason is null and row_date <= {{ as_of_date() }}

),

groups as (

    select
        *, {{ copy_number(ref('int_groups_screened'), ['user_id', 'account_id']) }} as copy_number
    from {{ ref('int_groups_screened') }}
    where quarantine_reason is null and row_date <= {{ as_of_date() }}

),

traits as (

    select 'user' as entity, user_id as entity_id, *
    from (
        {{ traits_long(
            ref('int_identifies_screened'),
            ['user_id', 'row_id', 'row_at', 'copy_number'],
            'identifies'
        ) }}
    )

    union all

    select 'account' as entity, account_id as entity_id, *
    from (
        {{ traits_long(
            ref('int_groups_screened'),
            ['account_id', 'row_id', 'row_at', 'copy_number'],
            'groups'
        ) }}
    )

),

current_traits as (

    select
        entity,
        entity_id,
        trait,
        trait_value,
        row_number() over (
            partition by entity, entity_id, trait
            order by row_at desc, row_id desc, trait_value desc
        ) as recency
    from traits
    where copy_number = 1 and entity_id is not null

),

judged as (

    select entity, entity_id, trait, trait_value from current_traits where recency = 1

    union all

    select entity, entity_id, entity || '_id' as trait, entity_id as trait_value from ids

),

excluded as (

    select distinct
        judged.entity,
        judged.entity_id
    from judged
    inner join exclusions
        on
            judged.entity = exclusions.entity
            and judged.trait = exclusions.trait
            and lower(judged.trait_value) like exclusions.like_pattern escape '!'

)

select * from excluded
