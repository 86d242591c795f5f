-- One row per account and day whose score may change: with what makes it up, or with the benchmark
-- of the day.
{%- if not restating() %}
select account_id, date_day from {{ ref('int_account_points') }} where false
{%- else %}
with

benchmarks_changed as (

    {{ changed_rows(
        'int_account_benchmarks', ['date_day'],
        ['score_model', 'benchmark_points', 'benchmark_population_count'],
        scope='date_day in (select date_day from ' ~ ref('int_restated_days') ~ ')'
    ) }}

),

scores as (

    select account_id, date_day from {{ ref('int_restated_account_days') }}

    union

    select account_id, date_day
    from {{ ref('int_account_points') }}
    where date_day in (select date_day from benchmarks_changed)

)

select * from scores
{%- endif %}
