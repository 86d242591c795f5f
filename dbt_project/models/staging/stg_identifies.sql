-- One row per identify call as delivered.
{%- set columns = relation_columns(source('raw', 'identifies')) %}
{%- set known = [
    'id', 'user_id', 'anonymous_id', 'timestamp', 'received_at', 'created_at',
    '_unparsed', '_load_id',
] %}
with

identifies as (

    select *, {{ row_position(source('raw', 'identifies')) }} as _row_position
    from {{ source('raw', 'identifies') }}

),

renamed as (

    select
        {{ clean_row_id(raw_column(columns, 'id')) }} as row_id,
        {{ clean_text(raw_column(columns, 'user_id')) }} as user_id,
        {{ clean_text(raw_column(columns, 'anonymous_id')) }} as anonymous_id,
        {{ raw_column(columns, '_load_id', 'bigint') }} as load_id,
        _row_position as row_position,

        coalesce(
            cast({{ raw_column(columns, 'timestamp') }} as {{ dbt.type_string() }}),
            {{ raw_column(columns, '_unparsed') }}
        ) as row_time_text,
        {{ trait_columns(columns, known, ['email', 'name', 'role'], ['created_at']) }},

        {{ raw_time(columns, 'timestamp') }} as row_at,
        coalesce(
            {{ raw_time(columns, 'received_at') }}, {{ raw_time(columns, 'timestamp') }}
        ) as received_at
    from identifies

)

select * from renamed
