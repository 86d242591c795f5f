{# A query: windowed points of users with the score that the benchmarks of their days give them. #}
{% macro scored_users(points, benchmarks) -%}
    select
        points.score_model,
        points.account_id,
        points.user_id,
        points.event_count,
        points.day_points,
        points.engagement_points,
        {{ score('points.engagement_points', 'benchmarks.benchmark_points', 'points.curve') }}
            as engagement_score,
        points.active_day_count,
        benchmarks.benchmark_points,
        coalesce(benchmarks.benchmark_population_count, 0) as benchmark_population_count,
        coalesce(benchmarks.benchmark_population_count, 0) < 10 as is_benchmark_thin,
        points.engagement_points > 0 as is_active,
        points.is_default_model,
        points.date_day as {{ adapter.quote('date') }}
    from {{ points }} as points
    left join {{ benchmarks }} as benchmarks
        on
            points.score_model = benchmarks.score_model
            and points.date_day = benchmarks.date_day
{%- endmacro %}
