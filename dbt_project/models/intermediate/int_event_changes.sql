-- One row per track call that this run judged or attributed anew, as it was (delta -1) and as it
-- is (delta 1).
{{ config(materialized='view') }} -- what it shows stands in tables of this run
with

{%- if restating() %}
{%- do ref('int_resolved_events') %}{# what it superseded and renewed #}

before as (

    {{ owned_tracks(superseded('int_tracks_screened'), superseded('int_resolved_events')) }}

),

now as (

    {{ owned_tracks(renewed('int_tracks_screened'), renewed('int_resolved_events')) }}

),

changes as (

    select *, -1 as delta from before

    union all

    select *, 1 as delta from now

)
{%- else %}

tracks as (

    {{ owned_tracks(ref('int_tracks_screened'), ref('int_resolved_events')) }}

),

changes as (

    select *, 1 as delta from tracks where false

)
{%- endif %}

select * from changes
