{# Whether a raw row came with a load that the last complete run did not know; when everything is built anew, all did. #}
{% macro was_delivered(load_id) %}{% if restating() %}{{ load_id }} > {{ var('known_load') or 0 }}{% else %}true{% endif %}{% endmacro %}
