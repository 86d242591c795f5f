{# A query: the stretches of days of a relation, joined where one begins at most `gap` days after all before it; the columns of the key, then first and last date. #}
{% macro joined_stretches(relation, keys, first_date, last_date, gap) -%}
    {%- set key = keys | join(', ') -%}
    {%- set in_order = 'partition by ' ~ key ~ ' order by ' ~ first_date ~ ', ' ~ last_date -%}
    select
        {{ key }},
        {{ first_date }},
        case when is_last then reached_date else next_reached_date end as {{ last_date }}
    from (
        -- of these every other one is the last of its stretch, unless it is the only one
        select
            *,
            lead(reached_date) over ({{ in_order }}, is_last) as next_reached_date
        from (
            select
                *,
                reached_before is null
                or {{ first_date }} > {{ days_after('reached_before', gap) }} as is_first,
                next_date is null or next_date > {{ days_after('reached_date', gap) }} as is_last
            from (
                select
                    *,
                    greatest({{ last_date }}, coalesce(reached_before, {{ last_date }}))
                        as reached_date
                from (
                    select
                        {{ key }},
                        {{ first_date }},
                        {{ last_date }},
                        max({{ last_date }}) over (
                            {{ in_order }} rows between unbounded preceding and 1 preceding
                        ) as reached_before,
                        lead({{ first_date }}) over ({{ in_order }}) as next_date
                    from {{ relation }}
                ) as compared
            ) as reached
        ) as bounded
        where is_first or is_last
    ) as bounds
    where is_first
{%- endmacro %}
