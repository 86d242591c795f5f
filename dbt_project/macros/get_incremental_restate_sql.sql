{#
The incremental strategy of every model that restates: the rows that its scope names go to the
schema `superseded`, where its SELECT may read them, and give way to the new ones.
`meta.restated_by` names the scope, a model (none: the new rows themselves, which then come first),
`meta.restated_on` the columns of the key (a mapping where the scope calls them otherwise). Without
a key, and when everything is built anew, all rows give way.
#}
{% macro get_incremental_restate_sql(arguments) %}
    {%- set target = arguments['target_relation'] -%}
    {%- set fresh = arguments['temp_relation'] -%}
    {%- set former = target.incorporate(path={'schema': 'superseded'}) -%}
    {%- set meta = config.get('meta') -%}
    {%- set keys = meta.get('restated_on') -%}
    {%- set where -%}
        {%- if keys and restating() -%}
            {%- set names = keys.values() if keys is mapping else keys -%}
            where ({{ keys | join(', ') }}) in (
                select {{ names | join(', ') }}
                from {{ ref(meta['restated_by']) if meta.get('restated_by') else fresh }}
            )
        {%- endif -%}
    {%- endset -%}
    {%- set bring = create_table_as(True, fresh, arguments['select']) ~ ';' -%}
    {{ bring if not meta.get('restated_by') }}
    create or replace table {{ former }} as select * from {{ target }} {{ where }};
    {{ bring if meta.get('restated_by') }}
    delete from {{ target }} {{ where }};
    insert into {{ target }} select * from {{ fresh }};
    drop table {{ fresh }}
{% endmacro %}
