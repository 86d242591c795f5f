{# When a row's time is no time: unreadable, before 2000, or more than a day after it was received. #}
{% macro is_bad_timestamp(occurred_at, received_at) -%}
    (
        {{ occurred_at }} is null
        or {{ occurred_at }} < cast('2000-01-01' as {{ dbt.type_timestamp() }})
        or {{ occurred_at }} > {{ dbt.dateadd('day', 1, received_at) }}
    )
{%- endmacro %}
