{# The rows of a model that this run replaced, as they were before; the model itself may read them, too. #}
{% macro superseded(model) %}
    {{- return((this if this.identifier == model else ref(model)).incorporate(path={'schema': 'superseded'})) -}}
{% endmacro %}
