-- One row per load of tracks: its rows by what became of them, as known on the as-of date.
with

tallies as (

    select * from {{ ref('int_event_tallies') }}

),

deliveries as (

    select
        load_id,
        cast(sum(event_count) as bigint) as received_count,
        {%- for name, fates in {
            'counted': ['counted'],
            'duplicate': ['duplicate'],
            'quarantined': ['missing_id', 'missing_event', 'bad_timestamp', 'no_identity'],
            'excluded': ['excluded'],
            'anonymous': ['anonymous'],
            'waiting': ['waiting'],
        }.items() %}
        cast(
            sum(case when fate in ('{{ fates | join("', '") }}') then event_count else 0 end)
            as bigint
        ) as {{ name }}_count{{ ',' if not loop.last }}
        {%- endfor %}
    from tallies
    group by 1

)

select * from deliveries
