{#
The incremental strategy of every model that restates: the rows that its scope names go to the
schema `superseded`, where its SELECT may read them, and give way to the new ones.
`meta.restated_by` names the scope, a model (none: the new rows themselves, which then come first),
`meta.restated_on` the columns of the key (a mapping where the scope calls them otherwise). Without
a key, and when everything is built anew, all rows give way. With `meta.is_long`, few rows of a long
table are found by the key alone, then read where they stand; and the new ones stay in the schema
`renewed`, too, so that nobody has to look for them. Columns go by their names: those that came later
stand last in the table.
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
    {%- set find = '' -%}
    {%- if where and meta.get('is_long') -%}
        {%- set position = row_position(target) -%}
        {%- set replaced = target.identifier ~ '__replaced' -%}
        {%- set find = 'create or replace temporary table ' ~ replaced ~ ' as select ' ~ position
            ~ ' as position from ' ~ target ~ ' ' ~ where ~ ';' -%}
        {%- set where = 'where ' ~ position ~ ' in (select position from ' ~ replaced ~ ')' -%}
    {%- endif -%}
    {%- set bring = create_table_as(True, fresh, arguments['select']) ~ ';' -%}
    {%- if meta.get('is_long') -%}
        {%- set fresh = target.incorporate(path={'schema': 'renewed'}) -%}
        {%- set bring = 'create or replace table ' ~ fresh ~ ' as ' ~ arguments['select'] ~ ';' -%}
    {%- endif -%}
    {{ bring if not meta.get('restated_by') }}
    {{ find }}
    create or replace table {{ former }} as select * from {{ target }} {{ where }};
    {{ bring if meta.get('restated_by') }}
    delete from {{ target }} {{ where }};
    insert into {{ target }} by name select * from {{ fresh }};
    {{ 'drop table ' ~ fresh if not meta.get('is_long') }}
{% endmacro %}
