-- One row per anonymous id whose identification changed.
{%- if not restating() %}
select
    anonymous_id,
    true as was_identified
from {{ ref('int_identifies_deduplicated') }} where false
{%- else %}
with

identified_before as (

    select anonymous_id, user_id, row_at as identified_at
    from {{ superseded('int_identifies_deduplicated') }}
    where anonymous_id is not null and user_id is not null

    union all

    select anonymous_id, user_id, event_at as identified_at
    from {{ superseded('int_tracks_screened') }}
    where fate = 'kept' and anonymous_id is not null and user_id is not null

),

identified_now as (

    select anonymous_id, user_id, row_at as identified_at
    from {{ renewed('int_identifies_deduplicated') }}
    where anonymous_id is not null and user_id is not null

    union all

    select anonymous_id, user_id, event_at as identified_at
    from {{ renewed('int_tracks_screened') }}
    where fate = 'kept' and anonymous_id is not null and user_id is not null

),

known as (

    select * from {{ left_by_last_run('int_identity_intervals') }}

),

lost as (

    select * from identified_before
    except
    select * from identified_now

),

-- what was known anyhow changes nothing; most was
gained as (

    select identified_now.*
    from identified_now
    left join known
        on
            identified_now.anonymous_id = known.anonymous_id
            and identified_now.user_id = known.user_id
            and identified_now.identified_at >= known.valid_from
            and identified_now.identified_at < known.valid_before
    where known.anonymous_id is null
    except
    select * from identified_before

),

changed as (

    select anonymous_id from lost
    union
    select anonymous_id from gained

),

restated as (

    select
        anonymous_id,
        anonymous_id in (select anonymous_id from known) as was_identified
    from changed

)

select * from restated
{%- endif %}
