{# The raw files of a table. #}
{% macro raw(table) %}read_parquet('{{ var("raw") }}/**/{{ table }}*.parquet'){% endmacro %}

{# A dial. #}
{% macro dial(name) %}read_csv('{{ var("seeds") }}/{{ name }}.csv', header = true, all_varchar = true){% endmacro %}

{# The last full day. #}
{% macro as_of() %}date '{{ var("as_of") }}'{% endmacro %}

{# Whether a row has a time that can be, up to the as-of date. #}
{% macro is_timely() -%}
    "timestamp" >= timestamp '2000-01-01'
    and "timestamp" <= coalesce(received_at, "timestamp") + interval 1 day
    and "timestamp" < {{ as_of() }} + 1
{%- endmacro %}

{# Whether an id or trait matches an exclusion. #}
{% macro is_excluded(entity, column, value) -%}
    exists (
        select 1
        from {{ dial('exclusions') }} as exclusions
        where
            exclusions.entity = '{{ entity }}'
            and exclusions."column" = '{{ column }}'
            and lower({{ value }}) like replace(exclusions.pattern, '*', '%')
    )
{%- endmacro %}
