-- One row per account, user (null: unknown) and stretch of days with events, none of which is more
-- than member_days after the one before.
{{ config(materialized='incremental') }}
{#- Of all event days no common table expression: what two read would be written down whole. -#}
{%- set event_days = ref('int_event_days') %}
with

{%- if restating() %}

-- days with events that have none any more: only there the days before must be looked at
lost as (

    select distinct account_id
    from (
        select account_id, user_id, event_date from {{ superseded('int_event_days') }}
        except
        select account_id, user_id, event_date
        from {{ event_days }}
        where true {{ and_restated('int_restated_cells', ['account_id', 'event_date']) }}
    ) as gone

),

changes as (

    select
        account_id,
        min(event_date) as first_date,
        account_id in (select account_id from lost) as has_lost
    from {{ ref('int_restated_cells') }}
    group by account_id

),

starts as (

    select
        *,
        case
            when has_lost then {{ days_after('first_date', -var('member_days')) }} else first_date
        end as read_from
    from changes

),

range as (

    select {{ each_day('min(read_from)', as_of_date()) }} as date_day from starts

),

{%- endif %}

active_days as (

    {%- if restating() %}

    select distinct event_days.account_id, event_days.user_id, event_days.event_date
    from {{ event_days }} as event_days
    inner join starts on event_days.account_id = starts.account_id
    where
        event_days.event_date in (select date_day from range)
        and event_days.event_date >= starts.read_from

    {%- else %}

    select distinct account_id, user_id, event_date from {{ event_days }}
    {%- endif %}

),

spans as (

    select
        account_id,
        user_id,
        event_date as first_event_date,
        event_date as last_event_date
    from active_days
    {%- if restating() %}

    union all

    -- what reaches the first day that may change; of lost days no further than is read again
    select
        known.account_id,
        known.user_id,
        known.first_event_date,
        case
            when starts.has_lost
                then greatest(
                    known.first_event_date, least(known.last_event_date, starts.read_from)
                )
            else known.last_event_date
        end as last_event_date
    from {{ this }} as known
    inner join starts on known.account_id = starts.account_id
    where
        known.first_event_date < starts.first_date
        and {{ days_after('known.last_event_date', var('member_days')) }} >= starts.first_date
    {%- endif %}

),

stretches as (

    {{ joined_stretches(
        'spans', ['account_id', 'user_id'], 'first_event_date', 'last_event_date',
        var('member_days')
    ) }}
    {%- if restating() %}

    union all

    -- what had ended before stays as it was
    select known.account_id, known.user_id, known.first_event_date, known.last_event_date
    from {{ this }} as known
    left join starts on known.account_id = starts.account_id
    where
        starts.account_id is null
        or {{ days_after('known.last_event_date', var('member_days')) }} < starts.first_date
    {%- endif %}

)

select * from stretches
