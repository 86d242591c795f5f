{# A query: the keys of the rows of a model that differ from those that this run replaced. #}
{% macro changed_rows(model, columns, compared=none, scope='true') -%}
    {%- set all = (columns + (compared or [])) | join(', ') -%}
    select distinct {{ columns | join(', ') }} from (
        select {{ all }} from (
            select {{ all }}, -1 as delta from {{ superseded(model) }}
            union all
            select {{ all }}, 1 as delta from {{ ref(model) }} where {{ scope }}
        ) as versions
        group by {{ all }}
        having sum(delta) <> 0
    ) as changed
{%- endmacro %}
