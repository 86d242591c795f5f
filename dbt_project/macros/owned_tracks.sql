{# A query: track calls with what became of them, the kept ones with their user and account, from screened calls and resolved events. #}
{% macro owned_tracks(screened, resolved) -%}
    {%- set columns = [
        'event_number', 'user_id', 'account_id', 'load_id', 'event_name', 'key_set', 'late_days',
        'has_bad_properties', 'event_date',
    ] | join(', ') -%}
    select {{ columns }}, fate, false as is_ambiguous_account
    from {{ screened }}
    where fate <> 'kept' or (user_id is not null and account_id is not null)

    union all

    select {{ columns }}, 'kept' as fate, is_ambiguous_account
    from {{ resolved }}
{%- endmacro %}
