{# The last full day that the marts describe, as a date. #}
{% macro as_of_date() %}cast('{{ var("as_of_date") }}' as date){% endmacro %}
