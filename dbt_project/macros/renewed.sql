{# The rows that this run brought to a long table (`meta.is_long`). #}
{% macro renewed(model) %}{{ return(ref(model).incorporate(path={'schema': 'renewed'})) }}{% endmacro %}
