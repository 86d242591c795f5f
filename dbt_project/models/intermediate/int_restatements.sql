-- One row per day, up to the last run's as-of date, on which rows of daily marts are other than
-- before. Rates as restated are meant to change and are left out.
{%- set marts = {
    'event_usage_daily': {
        'scope': 'int_restated_cells',
        'keys': {'account_id': 'account_id', 'user_id': 'user_id', 'date': 'event_date'},
        'identity': ['account_id', 'user_id', 'event_key', 'date'],
        'columns': ['feature', 'event_count'],
    },
    'user_engagement_daily': {
        'scope': 'int_restated_user_scores',
        'keys': {'account_id': 'account_id', 'user_id': 'user_id', 'date': 'date_day'},
        'identity': ['score_model', 'account_id', 'user_id', 'date'],
        'columns': [
            'event_count', 'day_points', 'engagement_points', 'engagement_score',
            'active_day_count', 'benchmark_points', 'benchmark_population_count',
        ],
    },
    'account_engagement_daily': {
        'scope': 'int_restated_account_scores',
        'keys': {'account_id': 'account_id', 'date': 'date_day'},
        'identity': ['score_model', 'account_id', 'date'],
        'columns': [
            'account_status', 'plan', 'event_count', 'day_points', 'engagement_points',
            'engagement_score', 'engagement_score_avg', 'user_count', 'active_user_count',
            'top_user_share', 'effective_user_count', 'benchmark_points',
            'benchmark_population_count',
        ],
    },
    'account_activation_daily': {
        'scope': 'int_restated_activation_days',
        'keys': {'account_id': 'account_id', 'date': 'date_day'},
        'identity': ['account_id', 'date'],
        'columns': [
            'account_status', 'plan', 'step_count', 'completed_step_count', 'activation_rate',
            'user_count', 'activated_user_count', 'user_activation_rate', 'readiness_rate',
        ],
    },
} %}
{#- A view keeps no rows that were replaced; the tables that it shows do. -#}
{%- set before = {
    'event_usage_daily': '(select *, event_date as date from ' ~ superseded('int_event_key_days')
        ~ ' where user_id is not null) as replaced',
    'user_engagement_daily': '(' ~ scored_users('points_before', superseded('int_user_benchmarks'))
        ~ ') as replaced',
} %}
with
{%- if restating() %}

-- also those of users for whom only the benchmark may have changed
points_before as (

    select * from {{ superseded('int_user_points_windowed') }}

    union all

    select points.*
    from {{ ref('int_user_points_windowed') }} as points
    left join {{ ref('int_restated_user_days') }} as restated
        on
            points.account_id = restated.account_id
            and points.user_id = restated.user_id
            and points.date_day = restated.date_day
    where
        restated.date_day is null {{ and_restated(
            'int_restated_user_scores',
            ['points.account_id', 'points.user_id', 'points.date_day'],
            ['account_id', 'user_id', 'date_day']
        ) }}

),
{%- endif %}

{%- for mart, told in marts.items() %}
{%- set columns = told['identity'] + told['columns'] %}

{{ mart }}_before as (

    select {{ columns | join(', ') }}
    from {{ before.get(mart, superseded(mart)) if restating() else ref(mart) }}
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

    select
        {{ 'abs(coalesce(now.engagement_score, 0) - coalesce(before.engagement_score, 0))'
            if 'engagement_score' in columns else 'null' }} as score_change,
        coalesce(now.date, before.date) as date
    from {{ mart }}_before as before
    full outer join {{ mart }}_now as now
        on
            before.account_id = now.account_id
            {%- for column in told['identity'] if column != 'account_id' %}
            and before.{{ column }} = now.{{ column }}
            {%- endfor %}
    where
        before.date is null
        or now.date is null
        {%- for column in told['columns'] %}
        or before.{{ column }} is distinct from now.{{ column }}
        {%- endfor %}

),
{%- endfor %}

changes as (

    {%- for mart in marts %}
    select
        date,
        {%- for other in marts %}
        {{ 1 if mart == other else 0 }} as {{ other }},
        {%- endfor %}
        score_change
    from {{ mart }}_changed

    {{ 'union all' if not loop.last }}
    {%- endfor %}

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
