{# The select list of trait columns named trait_<name>: every raw column that is not one of the layout's own;
   text cleaned, times, whole numbers and counts (not below 0) parsed, null if unreadable. #}
{% macro trait_columns(columns, known, texts, times, numbers=[], counts=[]) -%}
    {%- set names = columns | map(attribute='name') | map('lower') | reject('in', known) | list -%}
    {%- for name in (texts + names) | unique | reject('in', times + numbers + counts) %}
        {{ clean_text(raw_column(columns, name)) }} as {{ quoted('trait_' ~ name) }},
    {%- endfor %}
    {%- for name in numbers %}
        {{ whole_number(raw_column(columns, name, 'bigint')) }} as {{ quoted('trait_' ~ name) }},
    {%- endfor %}
    {%- for name in counts %}
        {%- set count = whole_number(raw_column(columns, name, 'bigint')) %}
        case when {{ count }} >= 0 then {{ count }} end as {{ quoted('trait_' ~ name) }},
    {%- endfor %}
    {%- for name in times %}
        {{ raw_time(columns, name) }} as {{ quoted('trait_' ~ name) }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
