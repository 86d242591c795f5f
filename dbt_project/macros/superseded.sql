{# The rows of a model that this run replaced, as they were before. #}
{% macro superseded(model) %}{{ return(ref(model).incorporate(path={'schema': 'superseded'})) }}{% endmacro %}
