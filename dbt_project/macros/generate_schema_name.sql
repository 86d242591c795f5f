{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- a schema is called what the folder's config calls it, without the target's prefix -#}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
