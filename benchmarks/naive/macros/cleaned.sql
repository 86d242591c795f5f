{# Text without blanks around it; blank, null and undefined are missing. #}
{% macro cleaned(column) -%}
    {%- set text = "trim(" ~ column ~ ", e' \\t\\n\\r\\f\\x0b')" -%}
    case when lower({{ text }}) not in ('', 'null', 'undefined') then {{ text }} end
{%- endmacro %}
