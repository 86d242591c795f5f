-- One row per track call: what becomes of it (a reason to quarantine it, waiting, excluded,
-- duplicate or kept), and the set of event keys that it matches (null: untracked).
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_events', 'restated_on': ['event_number'], 'is_long': true}
) }}
{#- Of all tracks no common table expression: what several read would be written down whole. -#}
{%- set all_tracks = '(select *, ' ~ event_number('event_id') ~ ' as event_number from '
    ~ ref('stg_tracks') ~ ') as tracks' %}
{%- set tracks = 'tracks_to_judge as tracks' if restating() else all_tracks %}
{%- set columns = [
    'event_number', 'user_id', 'anonymous_id', 'account_id', 'load_id', 'row_position',
    'event_name', 'properties', 'event_at', 'received_at',
] | join(', ') %}
with

{%- if restating() %}
{%- do ref('int_restated_events') %}{# which rows are superseded #}

superseded_tracks as (

    select * from {{ superseded('int_tracks_screened') }}

),

-- of a superseded row the raw one is only asked for what was not written down
tracks_to_judge as (

    select event_id, {{ columns }} from {{ all_tracks }} where {{ was_delivered('load_id') }}

    union all

    select event_id, {{ columns }}
    from (
        select superseded_tracks.*, tracks.event_id, tracks.properties, tracks.received_at
        from {{ ref('stg_tracks') }} as tracks
        inner join superseded_tracks on tracks.row_position = superseded_tracks.row_position
        where not {{ was_delivered('superseded_tracks.load_id') }}
    ) as known

),
{%- endif %}

excluded as (

    select * from {{ ref('int_excluded_entities') }}

),

tracked_events as (

    select * from {{ ref('int_tracked_events') }}

),

-- few ids come twice; only their rows need to be put in order (any number may stand for no id: a
-- filter would make all numbers twice)
copied as (

    select event_number
    from (
        select
            event_number,
            row_number() over (partition by event_number order by event_number) as copy_number
        from (select coalesce(event_number, 0) as event_number from {{ tracks }}) as numbers
    ) as numbered
    where copy_number = 2

),

{%- for name, condition in {
    'single': 'event_number is null or event_number not in', 'double': 'event_number in'
}.items() %}

{{ name }}_tracks as (

    select
        *,
        case
            when quarantine_reason is not null then quarantine_reason
            when event_date > {{ as_of_date() }} then 'waiting'
            when user_id in (select entity_id from excluded where entity = 'user') then 'excluded'
            when account_id in (select entity_id from excluded where entity = 'account')
                then 'excluded'
        end as reason
    from (
        select
            *,
            {{ track_quarantine_reason() }} as quarantine_reason,
            -- of a time that is none there is no day; so rows that lie together are of near days
            case
                when not {{ is_bad_timestamp('event_at', 'received_at') }}
                    then {{ reporting_date('event_at') }}
            end as event_date
        from {{ tracks }}
        where {{ condition }} (select event_number from copied)
    ) as dated

),
{%- endfor %}

ranked as (

    select
        *,
        row_number() over (
            partition by event_id, reason is null
            order by
                event_at,
                received_at,
                event_name,
                user_id nulls first,
                anonymous_id nulls first,
                account_id nulls first,
                properties nulls first,
                load_id nulls first
        ) as copy_number
    from double_tracks

),

judged as (

    select event_date, {{ columns }}, coalesce(reason, 'kept') as fate from single_tracks

    union all

    select
        event_date,
        {{ columns }},
        coalesce(reason, case when copy_number > 1 then 'duplicate' else 'kept' end) as fate
    from ranked

),

names as (

    select
        event_name,
        max(case when property_name is not null then 1 else 0 end) = 1 as has_condition
    from tracked_events
    group by 1

),

-- names without conditions: the keys follow from the name alone
name_keys as (

    select
        tracked_events.event_name,
        {{ listed_in_order('tracked_events.event_key', 'tracked_events.event_key', "'|'") }}
            as key_set
    from (select distinct event_name, event_key from tracked_events) as tracked_events
    inner join names on tracked_events.event_name = names.event_name
    where not names.has_condition
    group by 1

),

-- names with conditions: those of the properties; none are as good as blank ones
conditional_tracks as (

    select distinct
        tracks.event_name,
        coalesce(tracks.properties, '') as properties
    from {{ tracks }}
    inner join names on tracks.event_name = names.event_name
    where names.has_condition

),

conditional_matches as (

    select distinct
        tracks.event_name,
        tracks.properties,
        tracked_events.event_key
    from conditional_tracks as tracks
    inner join tracked_events on tracks.event_name = tracked_events.event_name
    where
        tracked_events.property_name is null
        or {{ json_property('tracks.properties', 'tracked_events.property_name') }}
        = coalesce(
            tracked_events.property_value,
            {{ json_property('tracks.properties', 'tracked_events.property_name') }}
        )

),

conditional_keys as (

    select
        event_name,
        properties,
        {{ listed_in_order('event_key', 'event_key', "'|'") }} as key_set
    from conditional_matches
    group by 1, 2

),

screened as (

    select
        judged.event_number,
        judged.user_id,
        judged.anonymous_id,
        judged.account_id,
        judged.load_id,
        judged.row_position,
        judged.event_name,
        coalesce(name_keys.key_set, conditional_keys.key_set) as key_set,
        judged.fate,
        greatest(
            {{ dbt.datediff('judged.event_date', reporting_date('judged.received_at'), 'day') }}, 0
        ) as late_days,
        judged.properties is not null and not {{ is_json('judged.properties') }}
            as has_bad_properties,
        judged.event_at,
        judged.event_date
    from judged
    left join name_keys on judged.event_name = name_keys.event_name
    left join conditional_keys
        on
            judged.event_name = conditional_keys.event_name
            and coalesce(judged.properties, '') = conditional_keys.properties

)

select * from screened
