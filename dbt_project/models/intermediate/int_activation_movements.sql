-- One row per basis, level, account, entity (user_id empty: the account, or every user of it) and
-- day on which the weight of applicable or completed steps changes; units are 1/10000 of a weight.
with

applicability as (

    select * from {{ ref('int_step_applicability') }}

),

completions as (

    select * from {{ ref('int_step_completions') }}

),

counted as (

    select
        applicability.basis,
        applicability.level,
        applicability.account_id,
        completions.user_id,
        applicability.weight_units,
        greatest(applicability.valid_from, completions.valid_from) as valid_from,
        least(applicability.valid_to, completions.valid_to) as valid_to
    from applicability
    inner join completions
        on
            applicability.step_row = completions.step_row
            and applicability.account_id = completions.account_id
            and applicability.valid_from <= completions.valid_to
            and applicability.valid_to >= completions.valid_from

),

movements as (

    select
        basis, level, account_id, '' as user_id,
        weight_units as applicable_units, 1 as applicable_count,
        0 as completed_units, 0 as completed_count,
        valid_from as date_day
    from applicability

    union all

    select
        basis, level, account_id, '' as user_id,
        -weight_units as applicable_units, -1 as applicable_count,
        0 as completed_units, 0 as completed_count,
        {{ days_after('valid_to', 1) }} as date_day
    from applicability

    union all

    select
        basis, level, account_id, user_id,
        0 as applicable_units, 0 as applicable_count,
        weight_units as completed_units, 1 as completed_count,
        valid_from as date_day
    from counted

    union all

    select
        basis, level, account_id, user_id,
        0 as applicable_units, 0 as applicable_count,
        -weight_units as completed_units, -1 as completed_count,
        {{ days_after('valid_to', 1) }} as date_day
    from counted

),

summed as (

    select
        basis,
        level,
        account_id,
        user_id,
        cast(sum(applicable_units) as bigint) as applicable_units,
        cast(sum(applicable_count) as bigint) as applicable_count,
        cast(sum(completed_units) as bigint) as completed_units,
        cast(sum(completed_count) as bigint) as completed_count,
        date_day
    from movements
    where date_day <= {{ as_of_date() }}
    group by basis, level, account_id, user_id, date_day

),

changes as (

    select *
    from summed
    where
        applicable_units <> 0
        or applicable_count <> 0
        or completed_units <> 0
        or completed_count <> 0

)

select * from changes
