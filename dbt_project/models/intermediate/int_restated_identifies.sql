-- One row per identify call to judge anew: delivered since the last run, due since then, or of a
-- user who is excluded from now on or no longer; and all calls of their ids.
with

restated as (

    {{ restated_calls(ref('int_identifies_screened'), ['user']) }}

)

select * from restated
