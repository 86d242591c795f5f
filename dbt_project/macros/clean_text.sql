{# Text without the blanks around it; blank, null and undefined (any case) are missing. #}
{% macro clean_text(expression) -%}
    {%- set text = trim_blanks(expression) -%}
    case when lower({{ text }}) not in ('', 'null', 'undefined') then {{ text }} end
{%- endmacro %}
