-- One row per group call to judge anew: delivered since the last run, due since then, or of a
-- user or account that is excluded from now on or no longer; and all calls of their ids.
with

restated as (

    {{ restated_calls(ref('int_groups_screened'), ['user', 'account']) }}

)

select * from restated
