-- One row per account, user and day whose score may change: with the points, or with the benchmark
-- of the day.
{%- if not restating() %}
select account_id, user_id, date_day from {{ ref('int_user_points_windowed') }} where false
{%- else %}
with

benchmarks_changed as (

    {{ changed_rows(
        'int_user_benchmarks', ['date_day'],
        ['score_model', 'benchmark_points', 'benchmark_population_count'],
        scope='date_day in (select date_day from ' ~ ref('int_restated_days') ~ ')'
    ) }}

),

scores as (

    select account_id, user_id, date_day from {{ ref('int_restated_user_days') }}

    union

    select account_id, user_id, date_day
    from {{ ref('int_user_points_windowed') }}
    where date_day in (select date_day from benchmarks_changed)

)

select * from scores
{%- endif %}
