{# A query: the keys of the rows of a model that differ from those that this run replaced. #}
{% macro changed_rows(model, columns, compared=none, scope='true') -%}
    {%- set all = columns + (compared or []) -%}
    {%- set before = 'select ' ~ all | join(', ') ~ ' from ' ~ superseded(model) -%}
    {%- set after = 'select ' ~ all | join(', ') ~ ' from ' ~ ref(model) ~ ' where ' ~ scope -%}
    select distinct {{ columns | join(', ') }} from (
        ({{ before }} except {{ after }}) union all ({{ after }} except {{ before }})
    ) as changed
{%- endmacro %}
