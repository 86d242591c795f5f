{# A raw time column, of whatever type, as a UTC timestamp; null where absent or unreadable. #}
{% macro raw_time(columns, name) -%}
    {%- set type = (columns | selectattr('name', 'in', [name, name | upper]) | map(attribute='dtype') | map('upper') | list or ['']) | first -%}
    {%- set column = raw_column(columns, name, dbt.type_timestamp()) -%}
    {%- if type in ['VARCHAR', 'STRING', 'TEXT'] -%}{{ text_timestamp(column) }}
    {%- elif type == 'TIMESTAMP' -%}{{ readable_timestamp(column) }}
    {%- else -%}{{ utc_timestamp(column) }}
    {%- endif -%}
{%- endmacro %}
