{#- One statement for all columns of a relation; each row that it finds names column and value. -#}
{% test known_values(model, columns) %}

{% for column, known in columns.items() -%}
{{ 'union all' if not loop.first }}
select '{{ column }}' as column_name, {{ column }} as unknown_value, count(*) as row_count
from (select {{ column }} from {{ model }}) as child
where
    {{ column }} is not null
    {%- if known is mapping %}{# a relation #}
    and not exists (select 1 from {{ known }} as parent where parent.{{ column }} = child.{{ column }})
    {%- else %}
    and {{ column }} not in ('{{ known | join("', '") }}')
    {%- endif %}
group by {{ column }}
{% endfor %}

{% endtest %}
