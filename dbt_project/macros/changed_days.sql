{# A query: the days, up to the last run's as-of date, on which the stretches of a model say other than those that this run replaced. #}
{% macro changed_days(model, columns) -%}
    {%- set before -%}
        select {{ columns | join(', ') }}, valid_from, valid_to from {{ superseded(model) }}
    {%- endset -%}
    {%- set after -%}
        select
            {{ columns | join(', ') }},
            valid_from,
            case when valid_to < {{ known_date() }} then valid_to else {{ known_date() }} end
                as valid_to
        from {{ ref(model) }}
        where valid_from <= {{ known_date() }}
    {%- endset -%}
    {%- set spread -%}
        select {{ columns | join(', ') }}, {{ each_day('valid_from', 'valid_to') }} as date_day
    {%- endset -%}
    {%- set gone = spread ~ ' from (' ~ before ~ ' except ' ~ after ~ ') as gone' -%}
    {%- set come = spread ~ ' from (' ~ after ~ ' except ' ~ before ~ ') as come' -%}
    ({{ gone }} except {{ come }}) union all ({{ come }} except {{ gone }})
{%- endmacro %}
