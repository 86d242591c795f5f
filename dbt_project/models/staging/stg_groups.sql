-- One row per group call as delivered.
{%- set columns = relation_columns(source('raw', 'groups')) %}
{%- set times = [
    'created_at', 'trial_ends_at', 'contract_started_at', 'contract_ends_at', 'canceled_at'
] %}
{%- set known = [
    'id', 'group_id', 'user_id', 'timestamp', 'received_at', '_unparsed', '_load_id'
] %}
with

groups as (

    select *, {{ row_position(source('raw', 'groups')) }} as _row_position
    from {{ source('raw', 'groups') }}

),

renamed as (

    select
        {{ clean_row_id(raw_column(columns, 'id')) }} as row_id,
        {{ clean_text(raw_column(columns, 'group_id')) }} as account_id,
        {{ clean_text(raw_column(columns, 'user_id')) }} as user_id,
        {{ raw_column(columns, '_load_id', 'bigint') }} as load_id,
        _row_position as row_position,

        coalesce(
            cast({{ raw_column(columns, 'timestamp') }} as {{ dbt.type_string() }}),
            {{ raw_column(columns, '_unparsed') }}
        ) as row_time_text,
        {{ trait_columns(columns, known, ['name', 'plan', 'status'], times, ['mrr'], ['seats']) }},

        {{ raw_time(columns, 'timestamp') }} as row_at,
        coalesce(
            {{ raw_time(columns, 'received_at') }}, {{ raw_time(columns, 'timestamp') }}
        ) as received_at
    from groups

)

select * from renamed
