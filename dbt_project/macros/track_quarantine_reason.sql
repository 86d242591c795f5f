{# The first reason to set a track call aside, by what it says itself; null: none. #}
{% macro track_quarantine_reason() -%}
    case
        when event_id is null then 'missing_id'
        when event_name is null then 'missing_event'
        when {{ is_bad_timestamp('event_at', 'received_at') }} then 'bad_timestamp'
        when coalesce(user_id, anonymous_id, account_id) is null then 'no_identity'
    end
{%- endmacro %}
