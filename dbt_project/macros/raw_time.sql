{# A raw time column, of whatever type, as a UTC timestamp; null where absent or unreadable. #}
{% macro raw_time(columns, name) -%}
    {%- set is_text = columns | selectattr('name', 'in', [name, name | upper]) | map(attribute='dtype') | map('upper') | select('in', ['VARCHAR', 'STRING', 'TEXT']) | list -%}
    {%- set column = raw_column(columns, name, dbt.type_timestamp()) -%}
    {{ utc_timestamp(trim_blanks(column) if is_text else column) }}
{%- endmacro %}
