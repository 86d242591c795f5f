{# Whether this run changes what the last complete run left, by what was delivered since; else it builds everything anew. While the project is parsed: yes, so that every ref is seen. #}
{% macro restating() %}{{ return(not execute or var('known_load') is not none) }}{% endmacro %}
