-- The ids of group calls to judge anew, some of them more than once: delivered since the last run,
-- due since then, or of a user or account that is excluded from now on or no longer.
with

restated as (

    {{ restated_calls(ref('int_groups_screened'), ['user', 'account']) }}

)

select * from restated
