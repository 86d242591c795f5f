{# The as-of date of the last complete run. #}
{% macro known_date() %}cast('{{ var("known_as_of") }}' as date){% endmacro %}
