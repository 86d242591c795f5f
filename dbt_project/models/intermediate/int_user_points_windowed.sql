-- One row per score model, account, user and scored day on which the user is a member: points of
-- the trailing window.
{{ config(
    materialized='incremental',
    meta={
        'restated_by': 'int_restated_user_days',
        'restated_on': ['account_id', 'user_id', 'date_day'],
    }
) }}
{#- Of all points no common table expression: what two read would be written down whole. -#}
{%- set point_days = 'point_days' if restating() else ref('int_point_days') ~ ' as point_days' %}
with

members as (

    select *
    from {{ ref('int_membership_intervals') }}
    where true {{ and_restated('int_restated_user_days', ['account_id', 'user_id']) }}

),

-- numbers are sorted faster than names
score_models as (

    select *, cast(row_number() over (order by score_model) as smallint) as model_number
    from {{ ref('score_models') }}

),

{%- if restating() %}

starts as (

    select account_id, user_id, min(date_day) as first_date
    from {{ ref('int_restated_user_days') }}
    group by 1, 2

),

range as (

    select {{ each_day(
        days_after('min(first_date)', '1 - (select max(window_days) from score_models)'),
        as_of_date()
    ) }} as date_day
    from starts

),

-- earlier points have left every window by then
point_days as (

    select point_days.*
    from {{ ref('int_point_days') }} as point_days
    inner join score_models on point_days.score_model = score_models.score_model
    inner join starts
        on
            point_days.account_id = starts.account_id
            and point_days.user_id = starts.user_id
            and point_days.event_date
            > {{ days_after('starts.first_date', '-score_models.window_days') }}
    where point_days.event_date in (select date_day from range)

),

{%- endif %}

scored_stretches as (

    select stretches.*, score_models.model_number
    from {{ ref('int_scored_account_stretches') }} as stretches
    inner join score_models on stretches.score_model = score_models.score_model

),

-- points enter the window on their day and leave it window_days later
movements as (

    select
        score_models.model_number,
        point_days.account_id,
        point_days.user_id,
        point_days.event_date as date_day,
        point_days.event_count,
        point_days.day_points,
        point_days.day_points as points_moved,
        1 as active_days_moved,
        0 as members_moved
    from {{ point_days }}
    inner join score_models on point_days.score_model = score_models.score_model

    union all

    select
        score_models.model_number,
        point_days.account_id,
        point_days.user_id,
        {{ days_after('point_days.event_date', 'score_models.window_days') }} as date_day,
        0 as event_count,
        0 as day_points,
        -point_days.day_points as points_moved,
        -1 as active_days_moved,
        0 as members_moved
    from {{ point_days }}
    inner join score_models on point_days.score_model = score_models.score_model

    union all

    select
        score_models.model_number,
        members.account_id,
        members.user_id,
        members.valid_from as date_day,
        0 as event_count,
        0 as day_points,
        0 as points_moved,
        0 as active_days_moved,
        1 as members_moved
    from members
    cross join score_models

    union all

    select
        score_models.model_number,
        members.account_id,
        members.user_id,
        {{ days_after('members.valid_to', 1) }} as date_day,
        0 as event_count,
        0 as day_points,
        0 as points_moved,
        0 as active_days_moved,
        -1 as members_moved
    from members
    cross join score_models

),

changes as (

    select
        model_number,
        account_id,
        user_id,
        date_day,
        cast(sum(event_count) as bigint) as event_count,
        cast(sum(day_points) as decimal(18, 4)) as day_points,
        cast(sum(points_moved) as decimal(18, 4)) as points_moved,
        cast(sum(active_days_moved) as bigint) as active_days_moved,
        cast(sum(members_moved) as bigint) as members_moved
    from movements
    where date_day <= {{ as_of_date() }}
    group by 1, 2, 3, 4

),

-- between two changes nothing moves
stretches as (

    select
        model_number,
        account_id,
        user_id,
        event_count,
        day_points,
        {%- for measure in ['points_moved', 'active_days_moved', 'members_moved'] %}
        sum({{ measure }}) over (
            partition by model_number, account_id, user_id
            order by date_day
            rows between unbounded preceding and current row
        ) as {{ measure }},
        {%- endfor %}
        date_day as valid_from,
        coalesce(
            {{ days_after(
                'lead(date_day) over (
                    partition by model_number, account_id, user_id order by date_day
                )', -1
            ) }},
            {{ as_of_date() }}
        ) as valid_to
    from changes

),

member_days as (

    {%- if restating() %}

    select stretches.*, restated.date_day
    from stretches
    inner join {{ ref('int_restated_user_days') }} as restated
        on
            stretches.account_id = restated.account_id
            and stretches.user_id = restated.user_id
            and restated.date_day between stretches.valid_from and stretches.valid_to
    where stretches.members_moved > 0

    {%- else %}

    select *, {{ each_day('valid_from', 'valid_to') }} as date_day
    from stretches
    where members_moved > 0
    {%- endif %}

),

scored as (

    select
        scored_stretches.score_model,
        member_days.account_id,
        member_days.user_id,
        scored_stretches.curve,
        case
            when member_days.date_day = member_days.valid_from then member_days.event_count else 0
        end as event_count,
        case
            when member_days.date_day = member_days.valid_from then member_days.day_points else 0
        end as day_points,
        cast(member_days.points_moved as decimal(18, 4)) as engagement_points,
        cast(member_days.active_days_moved as bigint) as active_day_count,
        scored_stretches.is_default_model,
        member_days.date_day
    from member_days
    inner join scored_stretches
        on
            member_days.model_number = scored_stretches.model_number
            and member_days.account_id = scored_stretches.account_id
            and member_days.date_day
            between scored_stretches.valid_from and scored_stretches.valid_to

),

-- so that who asks for some days need not read all
by_day as (

    select * from scored {{ 'order by date_day' if not restating() }}

)

select * from by_day
