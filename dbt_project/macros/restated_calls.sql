{# A query: the ids of identify or group calls to judge anew, some of them more than once: delivered since the last run, due since then, or of an entity that is excluded from now on or no longer. #}
{% macro restated_calls(screened, entities) -%}
    {%- if not restating() -%}
    select row_id from {{ screened }} where false
    {%- else -%}
    with

    exclusions_changed as (

        {{ changed_rows('int_excluded_entities', ['entity', 'entity_id']) }}

    ),

    reached as (

        select row_id from {{ screened }} where {{ was_delivered('load_id') }}

        union all

        select row_id
        from {{ screened }}
        where row_date > {{ known_date() }} and row_date <= {{ as_of_date() }}
        {%- for entity in entities %}

        union all

        select row_id
        from {{ screened }}
        where {{ entity }}_id in (
            select entity_id from exclusions_changed where entity = '{{ entity }}'
        )
        {%- endfor %}

    )

    select row_id from reached where row_id is not null
    {%- endif %}
{%- endmacro %}
