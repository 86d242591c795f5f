{# The select list of trait columns named trait_<name>: every raw column that is not one of the layout's own;
   text cleaned, times and whole numbers parsed (null if unreadable). #}
{% macro trait_columns(columns, known, texts, times, numbers=[]) -%}
    {%- set names = columns | map(attribute='name') | map('lower') | reject('in', known) | list -%}
    {%- for name in (texts + names) | unique | reject('in', times + numbers) %}
        {{ clean_text(raw_column(columns, name)) }} as {{ quoted('trait_' ~ name) }},
    {%- endfor %}
    {%- for name in numbers %}
        {{ whole_number(raw_column(columns, name, 'bigint')) }} as {{ quoted('trait_' ~ name) }},
    {%- endfor %}
    {%- for name in times %}
        {{ raw_time(columns, name) }} as {{ quoted('trait_' ~ name) }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
