-- One row per track call that this run judged or attributed anew, as it was (delta -1) and as it
-- is (delta 1).
{%- set everything = owned_tracks(ref('int_tracks_screened'), ref('int_resolved_events')) %}
with

{%- if restating() %}

resolved as (

    select *
    from {{ ref('int_resolved_events') }}
    where event_number in (select event_number from {{ ref('int_reattributed_events') }})

),

before as (

    {{ owned_tracks(superseded('int_tracks_screened'), superseded('int_resolved_events')) }}

),

{%- endif %}

now as (

    {%- if restating() %}
    {{ owned_tracks(renewed('int_tracks_screened'), 'resolved') }}
    {%- else %}
    {{ everything }}
    {%- endif %}

),

changes as (

    {%- if restating() %}

    select *, -1 as delta from before

    union all

    select *, 1 as delta from now
    {%- else %}

    select *, 1 as delta from now where false
    {%- endif %}

)

select * from changes
