-- One row: the last load of the run from whose tables this one went on; null when everything was
-- built anew.
with

known as (

    {%- if restating() %}
    select cast('{{ var("known_load") }}' as bigint) as load_id
    {%- else %}
    select cast(null as bigint) as load_id
    {%- endif %}

)

select * from known
