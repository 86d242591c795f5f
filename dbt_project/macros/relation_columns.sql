{# The columns of a relation; none while the project is only parsed. Unit tests override it by a list. #}
{% macro relation_columns(relation) %}{{ return(adapter.get_columns_in_relation(relation) if execute else []) }}{% endmacro %}
