{# A raw time column, of whatever type, as a UTC timestamp; null where absent or unreadable. #}
{% macro raw_time(columns, name) -%}
    {%- set names = columns | map(attribute='name') | map('lower') | list -%}
    {%- set type = columns[names.index(name)].dtype | upper if name in names -%}
    {%- set column = raw_column(columns, name, dbt.type_timestamp()) -%}
    {%- if type in ['VARCHAR', 'STRING', 'TEXT'] -%}{{ text_timestamp(column) }}
    {%- elif type == 'TIMESTAMP' -%}{{ readable_timestamp(column) }}
    {%- else -%}{{ utc_timestamp(column) }}
    {%- endif -%}
{%- endmacro %}
