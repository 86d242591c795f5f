{# A query: of rows (the text of a query) that one of each id that counts. Few ids come twice, and only their rows are put in order. #}
{% macro first_copies(rows, relation, columns) -%}
    with

    copied as (

        select row_id from ({{ rows }}) as remaining group by row_id having count(*) > 1

    ),

    ranked as (

        select *, {{ copy_number(relation, columns) }} as copy_number
        from ({{ rows }}) as remaining
        where row_id in (select row_id from copied)

    )

    select *, 1 as copy_number
    from ({{ rows }}) as remaining
    where row_id not in (select row_id from copied)

    union all

    select * from ranked where copy_number = 1
{%- endmacro %}
