{# Aggregate: the texts of a group in the order of another column, with a sign between them; nulls are left out. #}
{% macro listed_in_order(text, position, sign) -%}
    {{ return(adapter.dispatch('listed_in_order')(text, position, sign)) }}
{%- endmacro %}

{% macro default__listed_in_order(text, position, sign) -%}
    {#- what dbt's own `listagg` makes of it on Spark has no order -#}
    array_join(
        transform(
            sort_array(collect_list(case when {{ text }} is not null then struct({{ position }} as position, {{ text }} as listed) end)),
            pair -> pair.listed
        ),
        {{ sign }}
    )
{%- endmacro %}

{% macro duckdb__listed_in_order(text, position, sign) -%}
    {{ dbt.listagg(text, sign, 'order by ' ~ position) }}
{%- endmacro %}
