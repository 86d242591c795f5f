-- One row per anonymous id and stretch of time in which its events belong to one user.
{{ config(
    materialized='incremental',
    meta={'restated_by': 'int_restated_devices', 'restated_on': ['anonymous_id']}
) }}
{#- What ties a new device to a user came just now; of others all tracks are looked through. -#}
{%- set tracks = ref('int_tracks_screened') if not restating() else '(select * from '
    ~ ref('int_tracks_screened') ~ ' where anonymous_id in (select anonymous_id from '
    ~ ref('int_restated_devices') ~ ' where was_identified) union all select * from '
    ~ renewed('int_tracks_screened') ~ ' where anonymous_id in (select anonymous_id from '
    ~ ref('int_restated_devices') ~ ' where not was_identified))' %}
{#- Text in place of a common table expression: what two read would be written down whole. -#}
{%- set identifications -%}
    (
        select anonymous_id, user_id, row_at as identified_at
        from {{ ref('int_identifies_deduplicated') }}
        where anonymous_id is not null and user_id is not null
            {{ and_restated('int_restated_devices', ['anonymous_id']) }}

        union all

        select anonymous_id, user_id, event_at as identified_at
        from {{ tracks }} as tracks
        where fate = 'kept' and anonymous_id is not null and user_id is not null
    )
{%- endset %}
with

devices as (

    select
        anonymous_id,
        min(user_id) as user_id,
        max(user_id) as last_user_id
    from {{ identifications }} as identifications
    group by 1

),

-- on a shared device the times tell whose an event is
one_per_instant as (

    select
        anonymous_id,
        identified_at,
        min(user_id) as user_id
    from {{ identifications }} as identifications
    where anonymous_id in (select anonymous_id from devices where user_id <> last_user_id)
    group by 1, 2

),

compared as (

    select
        *,
        lag(user_id) over (partition by anonymous_id order by identified_at) as previous_user_id
    from one_per_instant

),

changes as (

    select
        *,
        lead(identified_at) over (partition by anonymous_id order by identified_at) as next_at
    from compared
    where previous_user_id is null or previous_user_id <> user_id

),

-- events before the first identification belong to the first user identified after them
intervals as (

    select
        anonymous_id,
        user_id,
        case
            when previous_user_id is null then cast('1900-01-01' as {{ dbt.type_timestamp() }})
            else identified_at
        end as valid_from,
        coalesce(next_at, cast('9999-12-31' as {{ dbt.type_timestamp() }})) as valid_before
    from changes

    union all

    select
        anonymous_id,
        user_id,
        cast('1900-01-01' as {{ dbt.type_timestamp() }}) as valid_from,
        cast('9999-12-31' as {{ dbt.type_timestamp() }}) as valid_before
    from devices
    where user_id = last_user_id

)

select * from intervals
