-- One row per track call as delivered.
{%- set columns = relation_columns(source('raw', 'tracks')) %}
with

tracks as (

    select *, {{ row_position(source('raw', 'tracks')) }} as _row_position
    from {{ source('raw', 'tracks') }}

),

renamed as (

    select
        {{ clean_row_id(raw_column(columns, 'id')) }} as event_id,
        {{ clean_text(raw_column(columns, 'user_id')) }} as user_id,
        {{ clean_text(raw_column(columns, 'anonymous_id')) }} as anonymous_id,
        {{ clean_text(raw_column(columns, 'context_group_id')) }} as account_id,
        {{ raw_column(columns, '_load_id', 'bigint') }} as load_id,
        _row_position as row_position,

        {{ clean_text(raw_column(columns, 'event')) }} as event_name,
        cast({{ raw_column(columns, 'properties') }} as {{ dbt.type_string() }})
            as properties,
        {{ raw_column(columns, '_unparsed') }} as unparsed,
        {{ raw_column(columns, 'timestamp') }} as event_time,

        {{ raw_time(columns, 'timestamp') }} as event_at,
        coalesce(
            {{ raw_time(columns, 'received_at') }}, {{ raw_time(columns, 'timestamp') }}
        ) as received_at
    from tracks

)

select * from renamed
