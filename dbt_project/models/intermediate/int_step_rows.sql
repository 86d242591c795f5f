-- One row per dial row of an activation step, defaults filled in, with its place in the file.
{{ config(materialized='incremental') }}
with

activation_steps as (

    select
        *,
        {{ file_position() }} as file_position
    from {{ ref('activation_steps') }}

),

filled as (

    select
        -- short, because long tables are sorted by it
        cast(row_number() over (order by file_position) as smallint) as step_row,
        step_key,
        step_name,
        level,
        event_key,
        lower(trait) as trait,
        trait_value,
        coalesce(count_of, 'events') as count_of,
        feature,
        account_status,
        account_plan,
        coalesce(min_count, 1) as min_count,
        within_days,
        expires_after_days,
        {{ in_units('coalesce(weight, 1)') }} as weight_units,
        coalesce(is_flagship, false) as is_flagship,
        coalesce(valid_from, cast('0001-01-01' as date)) as valid_from,
        coalesce(valid_to, cast('9999-12-31' as date)) as valid_to
    from activation_steps

),

-- a step is shown by its latest row that has begun, also after it retired
described as (

    select
        *,
        {{ as_of_date() }} between valid_from and valid_to as is_in_force,
        valid_from <= {{ as_of_date() }}
        and row_number() over (
            partition by step_key, valid_from <= {{ as_of_date() }}
            order by valid_from desc
        ) = 1 as is_shown
    from filled

)

select * from described
