{# A query: the identify or group calls to judge anew, with their places: delivered since the last run, due since then, or of an entity that is excluded from now on or no longer, and all copies of those. #}
{% macro restated_calls(screened, entities) -%}
    {%- if not restating() -%}
    select row_id, row_position from {{ screened }} where false
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
        where
            -- of many rows few are so late, in whatever time zone
            row_at >= cast({{ known_date() }} as {{ dbt.type_timestamp() }})
            and row_date > {{ known_date() }}
            and row_date <= {{ as_of_date() }}
        {%- for entity in entities %}

        union all

        select row_id
        from {{ screened }}
        where {{ entity }}_id in (
            select entity_id from exclusions_changed where entity = '{{ entity }}'
        )
        {%- endfor %}

    )

    select row_id, row_position from {{ screened }} where row_id in (select row_id from reached)
    {%- endif %}
{%- endmacro %}
