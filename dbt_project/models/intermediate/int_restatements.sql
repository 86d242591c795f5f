-- One row per day, up to the last run's as-of date, on which rows of daily marts are other than
-- before. Rates as restated are meant to change and are left out.
{%- set marts = {
    'event_usage_daily': {
        'scope': 'int_restated_cells',
        'keys': {'account_id': 'account_id', 'date': 'event_date'},
        'columns': ['user_id', 'event_key', 'feature', 'event_count'],
    },
    'user_engagement_daily': {
        'scope': 'int_restated_user_scores',
        'keys': {'account_id': 'account_id', 'user_id': 'user_id', 'date': 'date_day'},
        'columns': [
            'score_model', 'event_count', 'day_points', 'engagement_points', 'engagement_score',
            'active_day_count', 'benchmark_points', 'benchmark_population_count',
        ],
    },
    'account_engagement_daily': {
        'scope': 'int_restated_account_scores',
        'keys': {'account_id': 'account_id', 'date': 'date_day'},
        'columns': [
            'score_model', 'account_status', 'plan', 'event_count', 'day_points',
            'engagement_points', 'engagement_score', 'engagement_score_avg', 'user_count',
            'active_user_count', 'top_user_share', 'effective_user_count', 'benchmark_points',
            'benchmark_population_count',
        ],
    },
    'account_activation_daily': {
        'scope': 'int_restated_activation_days',
        'keys': {'account_id': 'account_id', 'date': 'date_day'},
        'columns': [
            'account_status', 'plan', 'step_count', 'completed_step_count', 'activation_rate',
            'user_count', 'activated_user_count', 'user_activation_rate', 'readiness_rate',
        ],
    },
} %}
{%- set identities = {
    'event_usage_daily': ['user_id', 'event_key'],
    'user_engagement_daily': ['user_id', 'score_model'],
    'account_engagement_daily': ['score_model'],
    'account_activation_daily': [],
} %}
{#- A view keeps no rows that were replaced; the table that it shows does. -#}
{%- set usage_before = '(select *, event_date as date from ' ~ superseded('int_event_key_days')
    ~ ' where user_id is not null) as replaced' %}
with

{%- for mart, told in marts.items() %}
{%- set columns = (['account_id', 'date'] + told['columns'] + told['keys'] | list)
    | unique | list %}
{%- set before = usage_before if mart == 'event_usage_daily' else superseded(mart) %}

{{ mart }}_before as (

    select {{ columns | join(', ') }}
    from {{ before if restating() else ref(mart) }}
    where {{ restating() }}

),

{{ mart }}_now as (

    select {{ columns | join(', ') }}
    from {{ ref(mart) }}
    where {{ 'date <= ' ~ known_date() if restating() else 'false' }} {{ and_restated(
        told['scope'], told['keys'] | list, told['keys'].values() | list
    ) }}

),

{{ mart }}_changed as (

    select distinct {{ (['account_id', 'date'] + identities[mart]) | join(', ') }}
    from (
        (
            select * from {{ mart }}_before
            except
            select * from {{ mart }}_now
        )
        union all
        (
            select * from {{ mart }}_now
            except
            select * from {{ mart }}_before
        )
    ) as differing

),
{%- endfor %}

score_changes as (

    {%- for mart in ['user_engagement_daily', 'account_engagement_daily'] %}
    select
        changed.date,
        abs(
            coalesce(now.engagement_score, 0) - coalesce(before.engagement_score, 0)
        ) as score_change
    from {{ mart }}_changed as changed
    left join {{ mart }}_before as before
        on
            changed.account_id = before.account_id
            and changed.date = before.date
            and changed.score_model = before.score_model
            {{ 'and changed.user_id = before.user_id' if 'user_id' in identities[mart] }}
    left join {{ mart }}_now as now
        on
            changed.account_id = now.account_id
            and changed.date = now.date
            and changed.score_model = now.score_model
            {{ 'and changed.user_id = now.user_id' if 'user_id' in identities[mart] }}

    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

changes as (

    {%- for mart in marts %}
    select
        date,
        {%- for other in marts %}
        {{ 1 if mart == other else 0 }} as {{ other }},
        {%- endfor %}
        null as score_change
    from {{ mart }}_changed

    union all
    {%- endfor %}

    select
        date,
        {%- for mart in marts %}
        0 as {{ mart }},
        {%- endfor %}
        score_change
    from score_changes

),

restatements as (

    select
        {%- for mart in marts %}
        cast(sum({{ mart }}) as bigint) as {{ mart }}_count,
        {%- endfor %}
        cast(coalesce(max(score_change), 0) as decimal(18, 6)) as score_change_max,
        date as restated_date
    from changes
    group by date

)

select * from restatements
