{# The select list of trait columns named trait_<name>: every raw column that is not one of the layout's own; times parsed, text cleaned. #}
{% macro trait_columns(columns, known, texts, times) -%}
    {%- set names = columns | map(attribute='name') | map('lower') | reject('in', known) | list -%}
    {%- for name in (texts + names) | unique | reject('in', times) %}
        {{ clean_text(raw_column(columns, name, 'varchar')) }} as {{ adapter.quote('trait_' ~ name) }},
    {%- endfor %}
    {%- for name in times %}
        {{ raw_time(columns, name) }} as {{ adapter.quote('trait_' ~ name) }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
