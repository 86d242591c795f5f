-- One row: the run from whose tables this one went on; nulls when everything was built anew.
with

known as (

    {%- if restating() %}
    select cast('{{ var("known_load") }}' as bigint) as load_id, {{ known_date() }} as as_of_date
    {%- else %}
    select cast(null as bigint) as load_id, cast(null as date) as as_of_date
    {%- endif %}

)

select * from known
