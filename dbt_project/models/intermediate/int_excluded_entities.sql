-- One row per user or account that an exclusion dial matches, by id or by a trait as of the as-of
-- date.
{{ config(materialized='incremental') }}
with

ids as (

    select * from {{ ref('int_known_ids') }}

),

known_traits as (

    select * from {{ ref('int_known_traits') }}

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

excluded_by_id as (

    select distinct
        ids.entity,
        ids.entity_id
    from ids
    inner join exclusions
        on
            ids.entity = exclusions.entity
            and ids.entity || '_id' = exclusions.trait
            and lower(ids.entity_id) like exclusions.like_pattern escape '!'

),

-- whoever has such a trait, or had it once: only of these must be known what counts
candidates as (

    select distinct
        said.entity,
        said.entity_id
    from known_traits as said
    inner join exclusions
        on
            said.entity = exclusions.entity
            and said.trait = exclusions.trait
            and lower(said.trait_value) like exclusions.like_pattern escape '!'

),

-- of each id the first that is not excluded by an id of its own; those that are by a trait must
-- still say so
identifies as (

    select
        *,
        {{ copy_number(ref('int_identifies_screened'), ['user_id', 'anonymous_id']) }}
            as copy_number
    from {{ ref('int_identifies_screened') }}
    where
        quarantine_reason is null
        and row_date <= {{ as_of_date() }}
        and coalesce(user_id, '') not in (
            select entity_id from excluded_by_id where entity = 'user'
        )
        and row_id in (
            select row_id
            from {{ ref('int_identifies_screened') }}
            where user_id in (select entity_id from candidates where entity = 'user')
        )

),

groups as (

    select
        *, {{ copy_number(ref('int_groups_screened'), ['user_id', 'account_id']) }} as copy_number
    from {{ ref('int_groups_screened') }}
    where
        quarantine_reason is null
        and row_date <= {{ as_of_date() }}
        and coalesce(user_id, '') not in (
            select entity_id from excluded_by_id where entity = 'user'
        )
        and account_id not in (select entity_id from excluded_by_id where entity = 'account')
        and row_id in (
            select row_id
            from {{ ref('int_groups_screened') }}
            where account_id in (select entity_id from candidates where entity = 'account')
        )

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

excluded_by_trait as (

    select distinct
        current_traits.entity,
        current_traits.entity_id
    from current_traits
    inner join exclusions
        on
            current_traits.entity = exclusions.entity
            and current_traits.trait = exclusions.trait
            and lower(current_traits.trait_value) like exclusions.like_pattern escape '!'
    where current_traits.recency = 1

),

excluded as (

    select * from excluded_by_id

    union

    select * from excluded_by_trait

)

select * from excluded
