{# A number made of an event's id, for joins and groups of many: 64 bits of a hash. Two ids may share one, so rows of one number are told apart by their ids. #}
{% macro event_number(event_id) -%}
    {{ return(adapter.dispatch('event_number')(event_id)) }}
{%- endmacro %}

{% macro default__event_number(event_id) -%}
    case when {{ event_id }} is not null then xxhash64({{ event_id }}) end
{%- endmacro %}

{% macro duckdb__event_number(event_id) -%}
    case when {{ event_id }} is not null then hash({{ event_id }}) end
{%- endmacro %}
