-- The ids of identify calls to judge anew, some of them more than once: delivered since the last
-- run, due since then, or of a user who is excluded from now on or no longer.
with

restated as (

    {{ restated_calls(ref('int_identifies_screened'), ['user']) }}

)

select * from restated
