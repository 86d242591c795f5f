{# A number made of an event's id, for joins and groups of many: 40 bits of a hash, which a table packs into 5 bytes. Of 100 million ids one in 10,000 shares its number, so rows of one number are told apart by their ids. #}
{% macro event_number(event_id) -%}
    {{ return(adapter.dispatch('event_number')(event_id)) }}
{%- endmacro %}

{% macro default__event_number(event_id) -%}
    case when {{ event_id }} is not null then shiftrightunsigned(xxhash64({{ event_id }}), 24) end
{%- endmacro %}

{% macro duckdb__event_number(event_id) -%}
    case when {{ event_id }} is not null then cast(hash({{ event_id }}) >> 24 as bigint) end
{%- endmacro %}
