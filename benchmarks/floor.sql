-- The floor: what the numbers cost when nothing but the numbers is wanted. One script, by hand, from
-- raw Parquet files and the dials to ten tables that hold, value by value, what the published marts
-- of the same names hold:
--
--   engagement     user_engagement_daily, account_engagement_daily, user_engagement,
--                  account_engagement
--   activation     user_activation, account_activation, account_activation_daily
--   current state  users, accounts, user_accounts
--
-- Left out, and so not in its time: layers, contracts, comments, tests, quarantine and the counts of
-- where each row went, what a later run needs to go on from here, signals and flags, publishing.
-- Taken for granted: times are timestamps in UTC, days are cut in UTC, every column that is named
-- below is there and no other is a trait.
--
-- What makes it fast, each measured: text is cleaned once per spelling and becomes a number before
-- events are grouped; only rows that need it (an id that comes twice, no user, …) are looked at one
-- by one; a user's window is a frame over consecutive days. The raw tracks are read several times, a
-- few columns each: one read into a copy that the rest reads takes an eighth longer at 10 million
-- events, and twice the memory.
--
-- Before it runs: set variable raw, set variable seeds (folders) and set variable as_of (a date).

set TimeZone = 'UTC';

create or replace temp macro as_of() as cast(getvariable('as_of') as date);

-- A blank at either end sorts before '!'; almost no text has one, and looking is cheaper than trimming.
create or replace temp macro trimmed(told) as
    case when told < '!' or right(told, 1) < '!' then trim(told, e' \t\n\r\f\x0b') else told end;

create or replace temp macro cleaned(told) as
    case when lower(trimmed(told)) not in ('', 'null', 'undefined') then trimmed(told) end;

create or replace temp macro is_spelled_oddly(id) as
    id < '!' or right(id, 1) < '!' or (strlen(id) in (4, 9) and lower(id) in ('null', 'undefined'));

create or replace temp macro property(told, name) as json_extract_string(
    case
        when json_valid(told) and not regexp_matches(
            regexp_replace(told, '"(\\.|[^"\\])*"', '', 'g'), '(?i)nan|inf|,\s*[}\]]'
        ) then told
    end,
    '/' || replace(replace(name, '~', '~0'), '/', '~1')
);

create or replace temp macro is_timely(occurred_at, received_at) as
    occurred_at >= timestamp '2000-01-01'
    and occurred_at < as_of() + 1
    and occurred_at <= coalesce(received_at, occurred_at) + interval 1 day;

create or replace temp macro ratio(numerator, denominator) as cast(
    cast((2000000 * (numerator) + (denominator)) // (2 * nullif(denominator, 0)) as bigint)
    * cast(0.000001 as decimal(7, 6))
    as decimal(18, 6)
);

create or replace temp macro unrounded_score(points, benchmark, curve) as cast(
    case
        when coalesce(benchmark, 0) = 0 then 0
        when curve = 'winsorized' then 100 * least(points / cast(benchmark as double), 1)
        else 100 * (1 - power(10, -points / cast(benchmark as double)))
    end
    as decimal(18, 12)
);

create or replace temp macro rounded(score) as cast(round(score, 6) as decimal(18, 6));

create or replace temp macro as_points(units) as
    cast(cast(units as bigint) * cast(0.0001 as decimal(5, 4)) as decimal(18, 4));

create or replace temp macro temperature(change) as
    case
        when change >= 10 then 'red_hot'
        when change <= -10 then 'ice_cold'
        when change is not null then 'steady'
    end;

create or replace temp macro engagement_level(score) as
    case
        when score >= 75 then 'most'
        when score >= 50 then 'moderate'
        when score >= 25 then 'passive'
        else 'least'
    end;

-- The dials ---------------------------------------------------------------------------------------

create temp table models as
select
    score_model, cast(window_days as integer) as window_days, curve, account_status, account_plan
from read_csv(getvariable('seeds') || '/score_models.csv', header = true, all_varchar = true)
where score_model is not null;

create temp table tracked as
select distinct event_key, event_name, property_name, property_value
from read_csv(getvariable('seeds') || '/tracked_events.csv', header = true, all_varchar = true)
where event_key is not null;

create temp table weights as
select
    score_model,
    event_key,
    cast(cast(weight as decimal(18, 4)) * 10000 as bigint) as weight_units,
    cast(daily_cap as integer) as daily_cap,
    coalesce(cast(valid_from as date), date '0001-01-01') as valid_from,
    coalesce(cast(valid_to as date), date '9999-12-31') as valid_to
from read_csv(getvariable('seeds') || '/engagement_weights.csv', header = true, all_varchar = true)
where score_model is not null;

create temp table steps as
with filled as (
    select
        cast(row_number() over () as integer) as step_row,
        step_key,
        level,
        event_key,
        lower(trait) as trait,
        trait_value,
        coalesce(count_of, 'events') as count_of,
        account_status,
        account_plan,
        coalesce(cast(min_count as integer), 1) as min_count,
        cast(within_days as integer) as within_days,
        cast(expires_after_days as integer) as expires_after_days,
        cast(coalesce(cast(weight as decimal(18, 4)), 1) * 10000 as bigint) as weight_units,
        coalesce(cast(valid_from as date), date '0001-01-01') as valid_from,
        coalesce(cast(valid_to as date), date '9999-12-31') as valid_to
    from read_csv(
        getvariable('seeds') || '/activation_steps.csv',
        header = true, all_varchar = true, parallel = false
    )
    where step_key is not null
)
select
    *,
    as_of() between valid_from and valid_to as is_in_force,
    valid_from <= as_of() and row_number() over (
        partition by step_key, valid_from <= as_of() order by valid_from desc
    ) = 1 as is_shown
from filled;

create temp table exclusions as
select
    entity,
    case lower("column") when 'group_id' then 'account_id' else lower("column") end as trait,
    replace(
        replace(replace(replace(lower(pattern), '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'
    ) as like_pattern
from read_csv(getvariable('seeds') || '/exclusions.csv', header = true, all_varchar = true)
where entity is not null;

set preserve_insertion_order = false;

-- Who and what: identifies and groups, a few rows per user ----------------------------------------

create temp table identify_calls as
with calls as (
    select
        cleaned(id) as row_id,
        cleaned(user_id) as user_id,
        cleaned(anonymous_id) as device_id,
        "timestamp" as row_at,
        coalesce(received_at, "timestamp") as received_at,
        cast("timestamp" as date) as row_date,
        cleaned(email) as email,
        cleaned(name) as name,
        cleaned(role) as role,
        cleaned(title) as title,
        cleaned(department) as department,
        created_at
    from read_parquet(getvariable('raw') || '/identifies*.parquet')
)
select *
from calls
where
    row_id is not null
    and row_at >= timestamp '2000-01-01'
    and row_at <= received_at + interval 1 day
    and coalesce(user_id, device_id) is not null
    and row_date <= as_of();

create temp table group_calls as
with calls as (
    select
        cleaned(id) as row_id,
        cleaned(group_id) as account_id,
        cleaned(user_id) as user_id,
        "timestamp" as row_at,
        coalesce(received_at, "timestamp") as received_at,
        cast("timestamp" as date) as row_date,
        cleaned(name) as name,
        cleaned(plan) as plan,
        cleaned(status) as status,
        cleaned(industry) as industry,
        cleaned(region) as region,
        cleaned(owner) as owner,
        seats,
        mrr,
        created_at,
        trial_ends_at,
        contract_started_at,
        contract_ends_at,
        canceled_at
    from read_parquet(getvariable('raw') || '/groups*.parquet')
)
select *
from calls
where
    row_id is not null
    and account_id is not null
    and row_at >= timestamp '2000-01-01'
    and row_at <= received_at + interval 1 day
    and row_date <= as_of();

-- every spelling that a track call has of who and where
create temp table spellings as
select distinct user_id, anonymous_id, context_group_id
from read_parquet(getvariable('raw') || '/**/tracks*.parquet');

create temp table excluded as
with traits as (
    select 'user' as entity, user_id as entity_id, row_id, row_at, trait, trait_value
    from (
        unpivot (
            select
                row_id, user_id, row_at,
                columns(* exclude (row_id, user_id, row_at, device_id, received_at, row_date))
                    ::varchar
            from identify_calls
            where user_id is not null
        )
        on * exclude (row_id, user_id, row_at) into name trait value trait_value
    )
    union all
    select 'account' as entity, account_id as entity_id, row_id, row_at, trait, trait_value
    from (
        unpivot (
            select
                row_id, account_id, row_at,
                columns(* exclude (row_id, account_id, row_at, user_id, received_at, row_date))
                    ::varchar
            from group_calls
        )
        on * exclude (row_id, account_id, row_at) into name trait value trait_value
    )
),
judged as (
    select entity, entity_id, trait, trait_value
    from traits
    qualify row_number() over (
        partition by entity, entity_id, trait order by row_at desc, row_id desc, trait_value desc
    ) = 1
    union
    select 'user' as entity, user_id as entity_id, 'user_id' as trait, user_id as trait_value
    from (
        select user_id from identify_calls
        union
        select user_id from group_calls
        union
        select cleaned(user_id) from spellings
    )
    where user_id is not null
    union
    select 'account', account_id, 'account_id', account_id
    from (
        select account_id from group_calls
        union
        select cleaned(context_group_id) as account_id from spellings
    )
    where account_id is not null
)
select distinct judged.entity, judged.entity_id
from judged
inner join exclusions
    on
        judged.entity = exclusions.entity
        and judged.trait = exclusions.trait
        and lower(judged.trait_value) like exclusions.like_pattern escape '\';

create temp table identified as
select *
from identify_calls
where user_id is null or user_id not in (select entity_id from excluded where entity = 'user')
qualify row_number() over (
    partition by row_id
    order by
        row_at, received_at, user_id nulls first, device_id nulls first,
        email nulls first, name nulls first, role nulls first, title nulls first,
        department nulls first, created_at nulls first
) = 1;

create temp table grouped as
select *
from group_calls
where
    (user_id is null or user_id not in (select entity_id from excluded where entity = 'user'))
    and account_id not in (select entity_id from excluded where entity = 'account')
qualify row_number() over (
    partition by row_id
    order by
        row_at, received_at, user_id nulls first, account_id, name nulls first, plan nulls first,
        status nulls first, industry nulls first, region nulls first, owner nulls first,
        seats nulls first, mrr nulls first, created_at nulls first, trial_ends_at nulls first,
        contract_started_at nulls first, contract_ends_at nulls first, canceled_at nulls first
) = 1;

-- where events without an account count
create temp table joined_intervals as
with ranked as (
    select user_id, account_id, row_at as joined_at
    from grouped
    where user_id is not null
    qualify row_number() over (partition by user_id, row_at order by row_id desc) = 1
),
compared as (
    select
        *,
        lag(account_id) over (partition by user_id order by joined_at) as previous_account_id
    from ranked
),
changes as (
    select *, lead(joined_at) over (partition by user_id order by joined_at) as next_at
    from compared
    where previous_account_id is null or previous_account_id <> account_id
)
select
    user_id,
    account_id,
    case when previous_account_id is null then timestamp '1900-01-01' else joined_at end
        as valid_from,
    coalesce(next_at, timestamp '9999-12-31') as valid_before
from changes;

-- most users join one account: then the time of the event does not matter
create temp table homes as
select user_id, any_value(account_id) as home_id
from joined_intervals
group by user_id
having count(*) = 1;

-- The events --------------------------------------------------------------------------------------

-- One number per user and account: joining and grouping numbers is cheaper than text. Text is cleaned
-- once per spelling, not once per event.
create temp table user_numbers as
select user_id, cast(row_number() over () as integer) as number
from (
    select cleaned(user_id) as user_id from spellings
    union
    select user_id from grouped
)
where user_id is not null and user_id not in (select entity_id from excluded where entity = 'user');

create temp table account_numbers as
select account_id, cast(row_number() over () as integer) as account
from (
    select cleaned(context_group_id) as account_id from spellings
    union
    select account_id from grouped
)
where
    account_id is not null
    and account_id not in (select entity_id from excluded where entity = 'account');

-- known: neither missing nor excluded
create temp table known_users as
select seen.spelling, user_numbers.number, account_numbers.account as home
from (select distinct user_id as spelling from spellings) as seen
inner join user_numbers on cleaned(seen.spelling) = user_numbers.user_id
left join homes on user_numbers.user_id = homes.user_id
left join account_numbers on homes.home_id = account_numbers.account_id;

create temp table known_accounts as
select seen.spelling, account_numbers.account, excluded.entity_id is not null as is_excluded
from (select distinct context_group_id as spelling from spellings) as seen
left join account_numbers on cleaned(seen.spelling) = account_numbers.account_id
left join excluded
    on cleaned(seen.spelling) = excluded.entity_id and excluded.entity = 'account'
where account_numbers.account is not null or excluded.entity_id is not null;

-- a set: the keys that an event counts for
create temp table names as
select
    event_name,
    bool_or(property_name is not null) as has_condition,
    case when not bool_or(property_name is not null)
        then string_agg(distinct event_key, '|' order by event_key) end as key_set
from tracked
group by 1;

-- names that are missing or tracked; whatever else is untracked
create temp table known_names as
select seen.spelling, names.key_set, coalesce(names.has_condition, true) as needs_look
from (
    select distinct event as spelling
    from read_parquet(getvariable('raw') || '/**/tracks*.parquet')
) as seen
left join names on cleaned(seen.spelling) = names.event_name
where names.event_name is not null or (cleaned(seen.spelling) is null and seen.spelling is not null);

-- Few ids come twice. Only their rows need to be put in order; a hash too many costs nothing. Those
-- with blanks around them may be others' doubles, and those that are missing are nobody's.
create temp table doubled as
select hash(id) as id_hash
from read_parquet(getvariable('raw') || '/**/tracks*.parquet')
where id is not null
qualify row_number() over (partition by hash(id)) = 2
union
select unnest([hash(id), hash(trimmed(id))]) as id_hash
from read_parquet(getvariable('raw') || '/**/tracks*.parquet')
where is_spelled_oddly(id);

-- Devices with events without a user. One that never had but one user is that user's; for the others
-- every identification counts, with its time.
create temp table devices as
with told as (
    select cleaned(anonymous_id) as device_id, cleaned(user_id) as user_id, false as is_identify
    from spellings
    union all
    select device_id, user_id, true as is_identify from identified where user_id is not null
)
select
    device_id,
    count(distinct user_id) = 1 and bool_or(is_identify) as has_one_user,
    min(user_id) as user_id
from told
where device_id is not null
group by 1
having bool_or(user_id is null);

create temp table shared_devices as
select distinct spellings.anonymous_id as spelling
from spellings
inner join devices on cleaned(spellings.anonymous_id) = devices.device_id
where not devices.has_one_user;

-- Rows that need a look: doubled, without a user, without an account that follows from the user
-- alone, with a condition on their properties, or from a device with more than one user.
create temp table special_calls as
select tracks.*
from read_parquet(getvariable('raw') || '/**/tracks*.parquet') as tracks
left join known_users on tracks.user_id = known_users.spelling
left join known_accounts on tracks.context_group_id = known_accounts.spelling
left join known_names on tracks.event = known_names.spelling
where
    is_timely(tracks."timestamp", tracks.received_at)
    and tracks.id is not null
    and tracks.event is not null
    and (
        known_users.number is null
        or (known_accounts.spelling is null and known_users.home is null)
        or known_names.needs_look
        or tracks.anonymous_id in (select spelling from shared_devices)
        or hash(tracks.id) in (select id_hash from doubled)
    );

create temp table special_known as
with calls as (
    select
        cleaned(id) as event_id,
        cleaned(user_id) as user_id,
        cleaned(anonymous_id) as device_id,
        cleaned(context_group_id) as account_id,
        cleaned(event) as event_name,
        properties,
        "timestamp" as event_at,
        coalesce(received_at, "timestamp") as received_at
    from special_calls
)
select *
from calls
where
    event_id is not null
    and event_name is not null
    and coalesce(user_id, device_id, account_id) is not null
    and (user_id is null or user_id in (select user_id from user_numbers))
    and (account_id is null or account_id in (select account_id from account_numbers));

create temp table special as
with twice as (
    select event_id from special_known group by 1 having count(*) > 1
)
from special_known
where event_id not in (from twice)
union all
from special_known
where event_id in (from twice)
qualify row_number() over (
    partition by event_id
    order by
        event_at, received_at, event_name, user_id nulls first, device_id nulls first,
        account_id nulls first, properties nulls first
) = 1;

drop table special_calls;
drop table special_known;

create temp table identity_intervals as
with identifications as (
    select device_id, user_id, row_at as identified_at
    from identified
    where user_id is not null
    union all
    select device_id, user_id, event_at as identified_at
    from special
    where user_id is not null
),
one_per_instant as (
    select device_id, identified_at, min(user_id) as user_id
    from identifications
    where device_id in (select device_id from devices where not has_one_user)
    group by 1, 2
),
compared as (
    select
        *,
        lag(user_id) over (partition by device_id order by identified_at) as previous_user_id
    from one_per_instant
),
changes as (
    select *, lead(identified_at) over (partition by device_id order by identified_at) as next_at
    from compared
    where previous_user_id is null or previous_user_id <> user_id
)
select
    device_id,
    user_id,
    case when previous_user_id is null then timestamp '1900-01-01' else identified_at end
        as valid_from,
    coalesce(next_at, timestamp '9999-12-31') as valid_before
from changes
union all
select device_id, user_id, timestamp '1900-01-01', timestamp '9999-12-31'
from devices
where has_one_user;

create temp table special_events as
with stitched as (
    select
        special.* replace (coalesce(special.user_id, identity_intervals.user_id) as user_id)
    from special
    left join identity_intervals
        on
            special.user_id is null
            and special.device_id = identity_intervals.device_id
            and special.event_at >= identity_intervals.valid_from
            and special.event_at < identity_intervals.valid_before
),
located as (
    select
        stitched.* replace (
            coalesce(stitched.account_id, joined_intervals.account_id) as account_id
        )
    from stitched
    left join joined_intervals
        on
            stitched.account_id is null
            and stitched.user_id = joined_intervals.user_id
            and stitched.event_at >= joined_intervals.valid_from
            and stitched.event_at < joined_intervals.valid_before
),
matches as (
    select
        located.event_id,
        string_agg(distinct tracked.event_key, '|' order by tracked.event_key) as key_set
    from located
    inner join tracked on located.event_name = tracked.event_name
    where
        located.event_name in (select event_name from names where has_condition)
        and (
            tracked.property_name is null
            or property(located.properties, tracked.property_name) = coalesce(
                tracked.property_value, property(located.properties, tracked.property_name)
            )
        )
    group by 1
)
select
    located.user_id,
    located.account_id,
    coalesce(matches.key_set, names.key_set) as key_set,
    cast(located.event_at as date) as event_date
from located
left join matches on located.event_id = matches.event_id
left join names on located.event_name = names.event_name
where located.user_id is not null or located.account_id is not null;

create temp table sets as
select
    key_set,
    cast(row_number() over () as usmallint) as set_id
from (
    select key_set from names where key_set is not null
    union
    select key_set from special_events where key_set is not null
);

-- One row per account, user, set of keys and day: all that is left of the events.
create temp table counts as
with set_of_name as (
    select known_names.spelling, known_names.needs_look, sets.set_id
    from known_names
    left join sets on known_names.key_set = sets.key_set
),
events as (
    select
        coalesce(known_accounts.account, known_users.home) as account,
        known_users.number as user_number,
        set_of_name.set_id,
        cast(tracks."timestamp" as date) as event_date
    from read_parquet(getvariable('raw') || '/**/tracks*.parquet') as tracks
    inner join known_users on tracks.user_id = known_users.spelling
    left join known_accounts on tracks.context_group_id = known_accounts.spelling
    left join set_of_name on tracks.event = set_of_name.spelling
    where
        is_timely(tracks."timestamp", tracks.received_at)
        and tracks.id is not null
        and tracks.event is not null
        and coalesce(known_accounts.account, known_users.home) is not null
        and known_accounts.is_excluded is distinct from true
        and set_of_name.needs_look is distinct from true
        and (
            tracks.anonymous_id is null
            or tracks.anonymous_id not in (select spelling from shared_devices)
        )
        and hash(tracks.id) not in (select id_hash from doubled)
    union all
    select
        account_numbers.account, user_numbers.number, sets.set_id, special_events.event_date
    from special_events
    left join account_numbers on special_events.account_id = account_numbers.account_id
    left join user_numbers on special_events.user_id = user_numbers.user_id
    left join sets on special_events.key_set = sets.key_set
)
select account, user_number, set_id, event_date, cast(count(*) as integer) as event_count
from events
group by all;

drop table special;
drop table special_events;

create temp table joins as
select account_numbers.account, user_numbers.number as user_number, min(row_date) as joined_date
from grouped
inner join account_numbers on grouped.account_id = account_numbers.account_id
inner join user_numbers on grouped.user_id = user_numbers.user_id
group by 1, 2;

-- a person: an account, and a user ever seen there
create temp table people as
select
    seen.account,
    seen.user_number,
    account_numbers.account_id,
    user_numbers.user_id,
    cast(row_number() over () as integer) as person
from (
    select distinct account, user_number from counts where user_number is not null
    union
    select account, user_number from joins
) as seen
inner join user_numbers on seen.user_number = user_numbers.number
left join account_numbers on seen.account = account_numbers.account;

create temp table cells as
select
    counts.account, people.person, counts.set_id, counts.event_date, counts.event_count
from counts
left join people
    on
        coalesce(counts.account, 0) = coalesce(people.account, 0)
        and counts.user_number = people.user_number;

drop table counts;

-- Current state -----------------------------------------------------------------------------------

create temp table person_days as
select person, event_date, cast(sum(event_count) as bigint) as event_count
from cells
where person is not null
group by 1, 2;

create temp table persons as
with active as (
    select
        person,
        sum(event_count) as event_count,
        min(event_date) as first_date,
        max(event_date) as last_date
    from person_days
    group by 1
)
select
    people.person,
    people.account,
    people.account_id,
    people.user_id,
    cast(coalesce(active.event_count, 0) as bigint) as event_count,
    joins.joined_date,
    least(active.first_date, joins.joined_date) as first_seen_date,
    greatest(active.last_date, joins.joined_date) as last_seen_date
from people
left join active on people.person = active.person
left join joins on people.account = joins.account and people.user_number = joins.user_number;

create or replace table user_accounts as
select
    account_id,
    user_id,
    event_count,
    last_seen_date > as_of() - 90 as is_member,
    joined_date,
    first_seen_date,
    last_seen_date
from persons
where account is not null;

create temp table user_traits as
select
    user_id,
    trait,
    trait_value,
    row_date as valid_from,
    coalesce(
        lead(row_date) over (partition by user_id, trait order by row_date) - 1, as_of()
    ) as valid_to
from (
    select *
    from (
        unpivot (
            select
                row_id, user_id, row_at, row_date,
                columns(* exclude (row_id, user_id, device_id, row_at, received_at, row_date))
                    ::varchar
            from identified
            where user_id is not null
        )
        on * exclude (row_id, user_id, row_at, row_date) into name trait value trait_value
    )
    qualify row_number() over (
        partition by user_id, trait, row_date order by row_at desc, row_id desc
    ) = 1
);

create or replace table users as
with signs as (
    select user_id, first_seen_date as first_date, last_seen_date as last_date from persons
    union all
    select user_id, row_date as first_date, row_date as last_date
    from identified
    where user_id is not null
),
seen as (
    select user_id, min(first_date) as first_seen_date, max(last_date) as last_seen_date
    from signs
    group by 1
),
traits as (
    select
        user_id,
        max(trait_value) filter (trait = 'email') as email,
        max(trait_value) filter (trait = 'name') as user_name,
        max(trait_value) filter (trait = 'role') as user_role
    from user_traits
    where valid_to = as_of()
    group by 1
),
counts as (
    select user_id, count(*) as account_count from user_accounts group by 1
)
select
    seen.user_id,
    traits.email,
    traits.user_name,
    traits.user_role,
    coalesce(counts.account_count, 0) as account_count,
    seen.first_seen_date,
    seen.last_seen_date
from seen
left join traits on seen.user_id = traits.user_id
left join counts on seen.user_id = counts.user_id;

create temp table account_traits as
select
    account_id,
    trait,
    trait_value,
    row_date as valid_from,
    coalesce(
        lead(row_date) over (partition by account_id, trait order by row_date) - 1, as_of()
    ) as valid_to
from (
    select *
    from (
        unpivot (
            select
                row_id, account_id, row_at, row_date,
                columns(* exclude (row_id, account_id, user_id, row_at, received_at, row_date))
                    ::varchar
            from grouped
        )
        on * exclude (row_id, account_id, row_at, row_date) into name trait value trait_value
    )
    qualify row_number() over (
        partition by account_id, trait, row_date order by row_at desc, row_id desc
    ) = 1
);

create temp table account_dates as
with signs as (
    select account, min(event_date) as first_date, max(event_date) as last_date
    from cells
    where account is not null
    group by 1
    union all
    select account_numbers.account, min(grouped.row_date) as first_date, null as last_date
    from grouped
    inner join account_numbers on grouped.account_id = account_numbers.account_id
    group by 1
)
select
    account,
    account_numbers.account_id,
    min(first_date) as first_seen_date,
    greatest(min(first_date), coalesce(max(last_date), min(first_date))) as last_seen_date
from signs
inner join account_numbers using (account)
group by 1, 2;

create temp table account_states as
with trial_calls as (
    select
        *,
        lag(trial_ends_at) over (partition by account_id order by row_at, row_id) as previous_end
    from grouped
    where trial_ends_at is not null
),
stated as (
    select
        account_id, row_at as known_at, row_at as fact_at, canceled_at,
        case lower(status)
            when 'active' then 'paid'
            when 'trialing' then 'trial'
            when 'cancelled' then 'canceled'
            when 'churned' then 'canceled'
            else lower(status)
        end as account_status
    from grouped
    union all
    select account_id, row_at, canceled_at, canceled_at, 'canceled' from grouped
    union all
    select account_id, row_at, contract_started_at, canceled_at, 'paid' from grouped
    union all
    select account_id, row_at, row_at, canceled_at, 'trial'
    from trial_calls
    where previous_end is null or previous_end <> trial_ends_at
),
facts as (
    select
        account_id,
        account_status,
        row_number() over (
            partition by account_id
            order by
                fact_at, case account_status when 'trial' then 1 when 'paid' then 2 else 3 end
        ) as rank_in_time,
        cast(greatest(fact_at, known_at) as date) as effective_date
    from stated
    where
        fact_at is not null
        and account_status in ('paid', 'trial', 'canceled')
        and (account_status = 'canceled' or canceled_at is null or canceled_at > known_at)
),
status_days as (
    select account_id, effective_date, max(rank_in_time) as rank_of_day
    from facts
    where effective_date <= as_of()
    group by 1, 2
),
latest as (
    select
        account_id,
        effective_date,
        max(rank_of_day) over (partition by account_id order by effective_date) as rank_in_time
    from status_days
),
statuses as (
    select latest.account_id, latest.effective_date as valid_from, facts.account_status
    from latest
    inner join facts using (account_id, rank_in_time)
),
plans as (
    select account_id, trait_value as plan, valid_from from account_traits where trait = 'plan'
),
trials as (
    select account_id, cast(cast(trait_value as timestamp) as date) as expiry_date, valid_from
    from account_traits
    where trait = 'trial_ends_at'
),
changes as (
    select account_id, first_seen_date as change_date from account_dates
    union
    select account_id, valid_from from statuses
    union
    select account_id, valid_from from plans
    union
    select account_id, valid_from from trials
    union
    select account_id, expiry_date from trials
),
stretches as (
    select
        account_dates.account,
        account_dates.account_id,
        changes.change_date as valid_from,
        coalesce(
            lead(changes.change_date) over (
                partition by changes.account_id order by changes.change_date
            ) - 1,
            as_of()
        ) as valid_to
    from changes
    inner join account_dates on changes.account_id = account_dates.account_id
    where changes.change_date between account_dates.first_seen_date and as_of()
)
select
    stretches.account,
    stretches.account_id,
    case
        when statuses.account_status is null then 'unknown'
        when statuses.account_status = 'trial' and trials.expiry_date <= stretches.valid_from
            then 'expired'
        else statuses.account_status
    end as account_status,
    plans.plan,
    stretches.valid_from,
    stretches.valid_to
from stretches
asof left join statuses
    on stretches.account_id = statuses.account_id and stretches.valid_from >= statuses.valid_from
asof left join plans
    on stretches.account_id = plans.account_id and stretches.valid_from >= plans.valid_from
asof left join trials
    on stretches.account_id = trials.account_id and stretches.valid_from >= trials.valid_from;

create or replace table accounts as
with traits as (
    select
        account_id,
        '{' || string_agg(to_json(trait) || ':' || to_json(trait_value), ',' order by trait) || '}'
            as traits,
        max(trait_value) filter (trait = 'name') as account_name,
        max(trait_value) filter (trait = 'seats') as seats,
        max(trait_value) filter (trait = 'mrr') as mrr,
        max(trait_value) filter (trait = 'trial_ends_at') as trial_ends_at,
        max(trait_value) filter (trait = 'contract_started_at') as contract_started_at,
        max(trait_value) filter (trait = 'contract_ends_at') as contract_ends_at,
        max(trait_value) filter (trait = 'canceled_at') as canceled_at
    from account_traits
    where valid_to = as_of()
    group by 1
),
members as (
    select account_id, count(*) as user_count from user_accounts where is_member group by 1
)
select
    account_dates.account_id,
    traits.account_name,
    states.plan,
    states.account_status,
    traits.traits,
    cast(traits.seats as bigint) as seat_count,
    cast(traits.mrr as bigint) as mrr,
    coalesce(members.user_count, 0) as user_count,
    cast(cast(traits.trial_ends_at as timestamp) as date) as trial_ends_date,
    cast(cast(traits.contract_started_at as timestamp) as date) as contract_started_date,
    cast(cast(traits.contract_ends_at as timestamp) as date) as contract_ends_date,
    cast(cast(traits.canceled_at as timestamp) as date) as canceled_date,
    account_dates.first_seen_date,
    account_dates.last_seen_date
from account_dates
inner join account_states as states
    on account_dates.account = states.account and states.valid_to = as_of()
left join traits on account_dates.account_id = traits.account_id
left join members on account_dates.account_id = members.account_id;

-- Engagement --------------------------------------------------------------------------------------

-- stretches of days on which a user is a member: never 90 days without a sign
create temp table memberships as
with signs as (
    select person_days.person, person_days.event_date as seen_date
    from person_days
    union all
    select person, joined_date from persons where joined_date is not null
),
compared as (
    select
        person,
        seen_date,
        coalesce(seen_date - lag(seen_date) over dated >= 91, true) as begins,
        coalesce(lead(seen_date) over dated - seen_date >= 91, true) as ends
    from signs
    window dated as (partition by person order by seen_date)
),
edges as (
    select
        person,
        begins,
        seen_date as first_date,
        case when ends then seen_date
            else lead(seen_date) over (partition by person order by seen_date) end as last_date
    from compared
    where begins or ends
)
select
    cast(row_number() over () as integer) as stretch,
    edges.person,
    persons.account,
    edges.first_date as valid_from,
    least(edges.last_date + 89, as_of()) as valid_to
from edges
inner join persons on edges.person = persons.person
where edges.begins and persons.account is not null;

create temp table scored_stretches as
select
    models.score_model,
    models.window_days,
    models.curve,
    account_states.account,
    account_states.account_status,
    account_states.plan,
    account_states.valid_from,
    account_states.valid_to
from account_states
inner join models
    on
        account_states.account_status = coalesce(models.account_status, account_states.account_status)
        and (models.account_plan is null or account_states.plan = models.account_plan);

-- what an event of a set brings on a day; a key of one set only need not be counted across sets
create temp table set_weights as
with dates as (
    select distinct event_date from cells
),
keys as (
    select sets.set_id, unnest(string_split(sets.key_set, '|')) as event_key from sets
),
alone as (
    select event_key, count(*) = 1 as is_alone from keys group by 1
)
select
    weights.score_model,
    keys.set_id,
    dates.event_date,
    keys.event_key,
    weights.weight_units,
    coalesce(weights.daily_cap, 2147483647) as daily_cap,
    alone.is_alone,
    row_number() over (
        partition by weights.score_model, keys.set_id, dates.event_date order by keys.event_key
    ) = 1 as is_first
from keys
inner join alone on keys.event_key = alone.event_key
inner join weights on keys.event_key = weights.event_key
inner join dates on dates.event_date between weights.valid_from and weights.valid_to;

create temp table day_points as
with scored_accounts as (
    select distinct score_model, account from scored_stretches
),
amounts as (
    select
        set_weights.score_model,
        cells.person,
        cells.event_date,
        case when set_weights.is_first then cells.event_count else 0 end as event_count,
        case when set_weights.is_alone
            then least(cells.event_count, set_weights.daily_cap) * set_weights.weight_units
            else 0 end as units
    from cells
    inner join set_weights
        on cells.set_id = set_weights.set_id and cells.event_date = set_weights.event_date
    inner join scored_accounts
        on
            set_weights.score_model = scored_accounts.score_model
            and cells.account = scored_accounts.account
    where cells.person is not null
    union all
    select
        set_weights.score_model,
        cells.person,
        cells.event_date,
        0 as event_count,
        least(sum(cells.event_count), any_value(set_weights.daily_cap))
        * any_value(set_weights.weight_units) as units
    from cells
    inner join set_weights
        on cells.set_id = set_weights.set_id and cells.event_date = set_weights.event_date
    where cells.person is not null and not set_weights.is_alone
    group by set_weights.score_model, cells.person, cells.event_date, set_weights.event_key
)
select
    score_model,
    person,
    event_date,
    cast(sum(event_count) as bigint) as event_count,
    cast(sum(units) as bigint) as units
from amounts
group by 1, 2, 3;

-- Every member day in a row, so a window of days is a window of rows.
create temp table scored_days as
with needed as (
    select distinct score_model, window_days, curve, account from scored_stretches
),
spine as (
    select
        needed.score_model,
        needed.window_days,
        needed.curve,
        memberships.stretch,
        memberships.person,
        memberships.account,
        memberships.valid_from + unnest(range(memberships.valid_to - memberships.valid_from + 1))
            ::integer as date_day
    from memberships
    inner join needed on memberships.account = needed.account
),
windowed as (
    select
        spine.score_model,
        spine.curve,
        spine.person,
        spine.account,
        spine.date_day,
        coalesce(day_points.event_count, 0) as event_count,
        coalesce(day_points.units, 0) as day_units,
        cast(sum(day_points.units) over recent as bigint) as units,
        count(day_points.units) over recent as active_day_count
    from spine
    left join day_points
        on
            spine.score_model = day_points.score_model
            and spine.person = day_points.person
            and spine.date_day = day_points.event_date
    window recent as (
        partition by spine.score_model, spine.stretch
        order by spine.date_day
        rows between spine.window_days - 1 preceding and current row
    )
)
select windowed.* replace (coalesce(windowed.units, 0) as units)
from windowed
semi join scored_stretches
    on
        windowed.score_model = scored_stretches.score_model
        and windowed.account = scored_stretches.account
        and windowed.date_day between scored_stretches.valid_from and scored_stretches.valid_to;

create temp table user_benchmarks as
select
    score_model,
    date_day,
    cast(round(quantile_cont(cast(units as double), 0.9) / 10000, 6) as decimal(18, 6))
        as benchmark_points,
    count(*) as benchmark_population_count
from scored_days
where units > 0
group by 1, 2;

create temp table user_scores as
select
    scored_days.score_model,
    scored_days.person,
    scored_days.account,
    scored_days.date_day,
    scored_days.event_count,
    scored_days.day_units,
    scored_days.units,
    scored_days.active_day_count,
    unrounded_score(
        scored_days.units / 10000, benchmarks.benchmark_points, scored_days.curve
    ) as score,
    benchmarks.benchmark_points,
    coalesce(benchmarks.benchmark_population_count, 0) as benchmark_population_count
from scored_days
left join user_benchmarks as benchmarks
    on
        scored_days.score_model = benchmarks.score_model
        and scored_days.date_day = benchmarks.date_day;

create or replace table user_engagement_daily as
select
    scores.score_model,
    persons.account_id,
    persons.user_id,
    scores.event_count,
    as_points(scores.day_units) as day_points,
    as_points(scores.units) as engagement_points,
    rounded(scores.score) as engagement_score,
    scores.active_day_count,
    scores.benchmark_points,
    scores.benchmark_population_count,
    scores.benchmark_population_count < 10 as is_benchmark_thin,
    scores.units > 0 as is_active,
    scores.score_model = 'default' as is_default_model,
    scores.date_day as date
from user_scores as scores
inner join persons on scores.person = persons.person;

create temp table account_points as
with summed as (
    select
        score_model,
        account,
        date_day,
        cast(sum(event_count) as bigint) as event_count,
        cast(sum(day_units) as bigint) as day_units,
        cast(sum(units) as bigint) as units,
        sum(cast(units as hugeint) * units) as squared_units,
        max(units) as top_units,
        sum(score) filter (units > 0) as active_score,
        count(*) as user_count,
        count(*) filter (units > 0) as active_user_count
    from user_scores
    group by 1, 2, 3
),
scored as (
    select
        *,
        valid_from + unnest(range(valid_to - valid_from + 1))::integer as date_day
    from scored_stretches
)
select
    scored.score_model,
    scored.curve,
    scored.account,
    scored.account_status,
    scored.plan,
    scored.date_day,
    coalesce(summed.event_count, 0) as event_count,
    coalesce(summed.day_units, 0) as day_units,
    coalesce(summed.units, 0) as units,
    summed.squared_units,
    summed.top_units,
    summed.active_score,
    coalesce(summed.user_count, 0) as user_count,
    coalesce(summed.active_user_count, 0) as active_user_count
from scored
left join summed
    on
        scored.score_model = summed.score_model
        and scored.account = summed.account
        and scored.date_day = summed.date_day;

create or replace table account_engagement_daily as
with benchmarks as (
    select
        score_model,
        date_day,
        cast(round(quantile_cont(cast(units as double), 0.9) / 10000, 6) as decimal(18, 6))
            as benchmark_points,
        count(*) as benchmark_population_count
    from account_points
    where units > 0
    group by 1, 2
)
select
    points.score_model,
    account_numbers.account_id,
    points.account_status,
    points.plan,
    points.event_count,
    as_points(points.day_units) as day_points,
    as_points(points.units) as engagement_points,
    rounded(unrounded_score(
        points.units / 10000, benchmarks.benchmark_points, points.curve
    )) as engagement_score,
    cast(round(
        cast(points.active_score / nullif(points.active_user_count, 0) as decimal(18, 12)), 6
    ) as decimal(18, 6)) as engagement_score_avg,
    points.user_count,
    points.active_user_count,
    ratio(points.active_user_count, points.user_count) as active_user_rate,
    ratio(cast(points.top_units as hugeint), points.units) as top_user_share,
    ratio(cast(points.units as hugeint) * points.units, points.squared_units)
        as effective_user_count,
    benchmarks.benchmark_points,
    coalesce(benchmarks.benchmark_population_count, 0) as benchmark_population_count,
    coalesce(benchmarks.benchmark_population_count, 0) < 10 as is_benchmark_thin,
    points.units > 0 as is_active,
    points.score_model = 'default' as is_default_model,
    points.date_day as date
from account_points as points
inner join account_numbers on points.account = account_numbers.account
left join benchmarks
    on points.score_model = benchmarks.score_model and points.date_day = benchmarks.date_day;

create or replace table user_engagement as
with before as (
    select * from user_engagement_daily where date in (select as_of() - window_days from models)
),
compared as (
    select
        daily.*,
        daily.engagement_score - before.engagement_score as score_change,
        case when before.engagement_score is not null then
            rounded(unrounded_score(
                cast(daily.engagement_points as double), before.benchmark_points, models.curve
            )) - before.engagement_score
        end as score_change_behaviour
    from user_engagement_daily as daily
    inner join models on daily.score_model = models.score_model
    left join before
        on
            daily.score_model = before.score_model
            and daily.account_id = before.account_id
            and daily.user_id = before.user_id
            and before.date = daily.date - models.window_days
    where daily.date = as_of()
)
select
    score_model,
    account_id,
    user_id,
    temperature(score_change) as temperature,
    engagement_level(engagement_score) as engagement_level,
    event_count,
    day_points,
    engagement_points,
    engagement_score,
    active_day_count,
    benchmark_points,
    benchmark_population_count,
    cast(score_change as decimal(18, 6)) as score_change,
    cast(score_change_behaviour as decimal(18, 6)) as score_change_behaviour,
    cast(score_change - score_change_behaviour as decimal(18, 6)) as score_change_benchmark,
    is_benchmark_thin,
    is_active,
    is_default_model,
    date as as_of_date
from compared;

create or replace table account_engagement as
with before as (
    select * from account_engagement_daily
    where date in (select as_of() - window_days from models)
),
compared as (
    select
        daily.*,
        daily.engagement_score - before.engagement_score as score_change,
        case when before.engagement_score is not null then
            rounded(unrounded_score(
                cast(daily.engagement_points as double), before.benchmark_points, models.curve
            )) - before.engagement_score
        end as score_change_behaviour
    from account_engagement_daily as daily
    inner join models on daily.score_model = models.score_model
    left join before
        on
            daily.score_model = before.score_model
            and daily.account_id = before.account_id
            and before.date = daily.date - models.window_days
    where daily.date = as_of()
)
select
    score_model,
    account_id,
    account_status,
    plan,
    temperature(score_change) as temperature,
    engagement_level(engagement_score) as engagement_level,
    event_count,
    day_points,
    engagement_points,
    engagement_score,
    engagement_score_avg,
    user_count,
    active_user_count,
    active_user_rate,
    top_user_share,
    effective_user_count,
    benchmark_points,
    benchmark_population_count,
    cast(score_change as decimal(18, 6)) as score_change,
    cast(score_change_behaviour as decimal(18, 6)) as score_change_behaviour,
    cast(score_change - score_change_behaviour as decimal(18, 6)) as score_change_benchmark,
    is_benchmark_thin,
    is_active,
    is_default_model,
    date as as_of_date
from compared;

-- Activation --------------------------------------------------------------------------------------

-- Events of steps per day, of an account (entity: its number, negative) or of a person there.
create temp table step_days as
with keys as (
    select sets.set_id, unnest(string_split(sets.key_set, '|')) as event_key from sets
)
select
    steps.step_row,
    case when steps.level = 'user' then cells.person else -cells.account end as entity,
    cells.event_date,
    sum(cells.event_count) as event_count
from cells
inner join keys on cells.set_id = keys.set_id
inner join steps on keys.event_key = steps.event_key
where
    cells.account is not null
    and (steps.level = 'account' or cells.person is not null)
    and steps.count_of <> 'users'
    and not (steps.min_count = 1 and steps.expires_after_days is null)
group by 1, 2, 3;

create temp table met as
-- once is enough, for ever
select
    steps.step_row,
    case when steps.level = 'user' then cells.person else -cells.account end as entity,
    min(cells.event_date) as met_from,
    min(cells.event_date) as met_to
from cells
inner join (
    select set_id, unnest(string_split(key_set, '|')) as event_key from sets
) as keys on cells.set_id = keys.set_id
inner join steps on keys.event_key = steps.event_key
where
    cells.account is not null
    and (steps.level = 'account' or cells.person is not null)
    and steps.count_of <> 'users'
    and steps.min_count = 1
    and steps.expires_after_days is null
group by 1, 2
union all
-- so many days: the one that many days of use ago lies in the window
select step_row, entity, event_date, event_date
from (
    select
        step_days.*,
        steps.within_days,
        steps.min_count,
        lag(step_days.event_date, steps.min_count - 1) over (
            partition by step_row, entity order by step_days.event_date
        ) as nth_date
    from step_days
    inner join steps using (step_row)
    where steps.count_of = 'days'
)
where nth_date is not null and (within_days is null or event_date - nth_date < within_days)
union all
-- so many events
select step_row, entity, event_date, event_date
from (
    select
        step_days.step_row,
        step_days.entity,
        step_days.event_date,
        steps.min_count,
        sum(step_days.event_count) over (
            partition by step_row, entity
            order by step_days.event_date - date '2000-01-01'
            range between coalesce(steps.within_days - 1, 100000) preceding and current row
        ) as count_in_window
    from step_days
    inner join steps using (step_row)
    where steps.count_of = 'events'
)
where count_in_window >= min_count
union all
-- so many users
select step_row, entity, event_date, event_date
from (
    with days as (
        select distinct
            steps.step_row, steps.min_count, coalesce(steps.within_days, 100000) as within_days,
            cells.account, cells.person, cells.event_date
        from cells
        inner join (
            select set_id, unnest(string_split(key_set, '|')) as event_key from sets
        ) as keys on cells.set_id = keys.set_id
        inner join steps on keys.event_key = steps.event_key
        where cells.account is not null and steps.count_of = 'users'
    ),
    edges as (
        select
            *,
            lag(event_date) over (
                partition by step_row, account, person order by event_date
            ) as previous_date,
            lead(event_date) over (
                partition by step_row, account, person order by event_date
            ) as next_date
        from days
        where person is not null
    ),
    moves as (
        select step_row, account, event_date, 1 as moved
        from edges
        where previous_date is null or event_date - previous_date >= within_days
        union all
        select step_row, account, event_date + within_days, -1
        from edges
        where next_date is null or next_date - event_date >= within_days
        union all
        select distinct step_row, account, event_date, 0 from days
    ),
    daily as (
        select step_row, account, event_date, sum(moved) as moved, max(moved) >= 0 as had_event
        from moves
        group by 1, 2, 3
    ),
    running as (
        select
            *,
            sum(moved) over (partition by step_row, account order by event_date) as user_count
        from daily
    )
    select running.step_row, -running.account as entity, running.event_date
    from running
    inner join steps on running.step_row = steps.step_row
    where running.had_event and running.user_count >= steps.min_count
)
union all
-- traits
select steps.step_row, persons.person, user_traits.valid_from, user_traits.valid_to
from steps
inner join user_traits on steps.trait = user_traits.trait
inner join persons on user_traits.user_id = persons.user_id
where
    steps.level = 'user'
    and persons.account is not null
    and user_traits.trait_value = coalesce(steps.trait_value, user_traits.trait_value)
union all
select steps.step_row, -account_numbers.account, account_traits.valid_from, account_traits.valid_to
from steps
inner join account_traits on steps.trait = account_traits.trait
inner join account_numbers on account_traits.account_id = account_numbers.account_id
where
    steps.level = 'account'
    and account_traits.trait_value = coalesce(steps.trait_value, account_traits.trait_value);

-- stretches of days on which a step is completed
create temp table completions as
with held as (
    select
        met.step_row,
        met.entity,
        met.met_from as held_from,
        least(met.met_to + steps.expires_after_days - 1, as_of()) as held_to
    from met
    inner join steps on met.step_row = steps.step_row
    where steps.expires_after_days is not null
),
compared as (
    select
        *,
        max(held_to) over (
            partition by step_row, entity
            order by held_from, held_to
            rows between unbounded preceding and 1 preceding
        ) as held_until
    from held
),
edges as (
    select
        step_row,
        entity,
        held_from,
        lead(held_until) over (partition by step_row, entity order by held_from) as ends_before
    from compared
    where held_until is null or held_from > held_until + 1
),
lasts as (
    select step_row, entity, max(held_to) as last_to from held group by 1, 2
),
stretches as (
    select
        edges.step_row, edges.entity, edges.held_from as valid_from,
        coalesce(edges.ends_before, lasts.last_to) as valid_to
    from edges
    inner join lasts using (step_row, entity)
    union all
    select met.step_row, met.entity, min(met.met_from), as_of()
    from met
    inner join steps on met.step_row = steps.step_row
    where steps.expires_after_days is null
    group by 1, 2
)
select
    stretches.step_row,
    stretches.entity,
    coalesce(persons.account, -stretches.entity) as account,
    stretches.valid_from,
    stretches.valid_to
from stretches
left join persons on stretches.entity = persons.person;

create temp table applicability as
with bases as (
    select 'scored' as basis, * from steps
    union all
    select 'restated' as basis, * replace (date '0001-01-01' as valid_from, date '9999-12-31' as valid_to)
    from steps
    where is_in_force
)
select
    bases.basis,
    bases.step_row,
    bases.level,
    bases.weight_units,
    states.account,
    greatest(states.valid_from, bases.valid_from) as valid_from,
    least(states.valid_to, bases.valid_to) as valid_to
from bases
inner join account_states as states
    on
        coalesce(bases.account_status, states.account_status) = states.account_status
        and (bases.account_plan is null or bases.account_plan = states.plan)
where greatest(states.valid_from, bases.valid_from) <= least(states.valid_to, bases.valid_to);

-- entity 0: what applies to the account, or to every user of it
create temp table movements as
with counted as (
    select
        applicability.basis,
        applicability.level,
        applicability.account,
        completions.entity,
        applicability.weight_units,
        greatest(applicability.valid_from, completions.valid_from) as valid_from,
        least(applicability.valid_to, completions.valid_to) as valid_to
    from applicability
    inner join completions
        on
            applicability.step_row = completions.step_row
            and applicability.account = completions.account
            and applicability.valid_from <= completions.valid_to
            and applicability.valid_to >= completions.valid_from
),
moved as (
    select basis, level, account, 0 as entity, valid_from as date_day,
        weight_units as step_units, 1 as steps, 0 as done_units, 0 as done
    from applicability
    union all
    select basis, level, account, 0, valid_to + 1, -weight_units, -1, 0, 0 from applicability
    union all
    select basis, level, account, entity, valid_from, 0, 0, weight_units, 1 from counted
    union all
    select basis, level, account, entity, valid_to + 1, 0, 0, -weight_units, -1 from counted
)
select
    basis, level, account, entity, date_day,
    cast(sum(step_units) as bigint) as step_units,
    cast(sum(steps) as bigint) as steps,
    cast(sum(done_units) as bigint) as done_units,
    cast(sum(done) as bigint) as done
from moved
where date_day <= as_of()
group by all
having sum(step_units) <> 0 or sum(steps) <> 0 or sum(done_units) <> 0 or sum(done) <> 0;

create temp table person_changes as
with changes as (
    select basis, account, entity as person, date_day, 0 as steps, done_units, done, 0 as members
    from movements
    where level = 'user' and entity <> 0
    union all
    select
        movements.basis, movements.account, persons.person, movements.date_day,
        movements.steps, 0, 0, 0
    from movements
    inner join persons on movements.account = persons.account
    where movements.level = 'user' and movements.entity = 0
    union all
    select unnest(['scored', 'restated']), account, person, valid_from, 0, 0, 0, 1 from memberships
    union all
    select unnest(['scored', 'restated']), account, person, valid_to + 1, 0, 0, 0, -1
    from memberships
    where valid_to < as_of()
),
daily as (
    select
        basis, account, person, date_day, sum(steps) as steps, sum(done_units) as done_units,
        sum(done) as done, sum(members) as members
    from changes
    group by all
)
select
    basis,
    account,
    person,
    date_day,
    cast(sum(steps) over entries as bigint) as steps,
    cast(sum(done_units) over entries as bigint) as done_units,
    cast(sum(done) over entries as bigint) as done,
    sum(members) over entries > 0 as is_member
from daily
window entries as (partition by basis, person order by date_day);

create temp table activation_stretches as
with contributions as (
    select
        basis,
        account,
        person,
        date_day,
        case when is_member then done_units else 0 end as done_units,
        case when is_member then 1 else 0 end as members,
        case when is_member and steps > 0 and done = steps then 1 else 0 end as activated
    from person_changes
),
changed as (
    select
        basis, account, date_day,
        done_units - coalesce(lag(done_units) over entries, 0) as done_units,
        members - coalesce(lag(members) over entries, 0) as members,
        activated - coalesce(lag(activated) over entries, 0) as activated
    from contributions
    window entries as (partition by basis, person order by date_day)
),
moved as (
    select
        basis, account, date_day,
        case when level = 'account' then step_units else 0 end as step_units,
        case when level = 'account' then steps else 0 end as steps,
        case when level = 'account' then done_units else 0 end as done_units,
        case when level = 'account' then done else 0 end as done,
        case when level = 'user' then step_units else 0 end as user_step_units,
        0 as user_done_units,
        0 as members,
        0 as activated
    from movements
    where level = 'account' or entity = 0
    union all
    select basis, account, date_day, 0, 0, 0, 0, 0, done_units, members, activated from changed
    union all
    select 'scored', account, valid_from, 0, 0, 0, 0, 0, 0, 0, 0 from account_states
),
daily as (
    select
        account,
        date_day,
        sum(steps) filter (basis = 'scored') as steps,
        sum(done) filter (basis = 'scored') as done,
        sum(members) filter (basis = 'scored') as members,
        sum(activated) filter (basis = 'scored') as activated,
        sum(step_units) filter (basis = 'scored') as step_units,
        sum(done_units) filter (basis = 'scored') as done_units,
        sum(user_step_units) filter (basis = 'scored') as user_step_units,
        sum(user_done_units) filter (basis = 'scored') as user_done_units,
        sum(members) filter (basis = 'restated') as members_r,
        sum(step_units) filter (basis = 'restated') as step_units_r,
        sum(done_units) filter (basis = 'restated') as done_units_r,
        sum(user_step_units) filter (basis = 'restated') as user_step_units_r,
        sum(user_done_units) filter (basis = 'restated') as user_done_units_r
    from moved
    group by 1, 2
),
running as (
    select
        account,
        date_day as valid_from,
        coalesce(lead(date_day) over entries - 1, as_of()) as valid_to,
        coalesce(
            sum(columns(* exclude (account, date_day))) over entries, 0
        )::bigint
    from daily
    window entries as (partition by account order by date_day)
),
shared as (
    select
        *,
        user_step_units * members as user_units,
        user_step_units_r * members_r as user_units_r
    from running
)
select
    shared.account,
    states.account_status,
    states.plan,
    shared.steps as step_count,
    shared.done as completed_step_count,
    ratio(shared.done_units, shared.step_units) as activation_rate,
    shared.members as user_count,
    shared.activated as activated_user_count,
    ratio(shared.user_done_units, user_units) as user_activation_rate,
    case
        when shared.step_units = 0 then ratio(shared.user_done_units, user_units)
        when user_units = 0 then ratio(shared.done_units, shared.step_units)
        else ratio(
            cast(shared.done_units as hugeint) * user_units
            + cast(shared.user_done_units as hugeint) * shared.step_units,
            2 * cast(shared.step_units as hugeint) * user_units
        )
    end as readiness_rate,
    ratio(shared.done_units_r, shared.step_units_r) as activation_rate_restated,
    ratio(shared.user_done_units_r, user_units_r) as user_activation_rate_restated,
    case
        when shared.step_units_r = 0 then ratio(shared.user_done_units_r, user_units_r)
        when user_units_r = 0 then ratio(shared.done_units_r, shared.step_units_r)
        else ratio(
            cast(shared.done_units_r as hugeint) * user_units_r
            + cast(shared.user_done_units_r as hugeint) * shared.step_units_r,
            2 * cast(shared.step_units_r as hugeint) * user_units_r
        )
    end as readiness_rate_restated,
    shared.steps > 0 and shared.done = shared.steps as is_activated,
    shared.valid_from,
    shared.valid_to
from shared
inner join account_states as states
    on
        shared.account = states.account
        and shared.valid_from between states.valid_from and states.valid_to;

create or replace table account_activation_daily as
select
    account_numbers.account_id,
    days.account_status,
    days.plan,
    days.step_count,
    days.completed_step_count,
    days.activation_rate,
    days.user_count,
    days.activated_user_count,
    days.user_activation_rate,
    days.readiness_rate,
    days.activation_rate_restated,
    days.user_activation_rate_restated,
    days.readiness_rate_restated,
    days.valid_from + unnest(range(days.valid_to - days.valid_from + 1))::integer as date
from activation_stretches as days
inner join account_numbers on days.account = account_numbers.account;

-- the steps that apply today, and who completed them
create temp table current_steps as
select
    applicability.level,
    applicability.account,
    steps.step_row,
    steps.step_key,
    steps.weight_units
from applicability
inner join steps on applicability.step_row = steps.step_row and steps.is_shown
where applicability.basis = 'scored' and applicability.valid_to = as_of();

create temp table current_completions as
select step_row, entity from completions where valid_to = as_of();

create or replace table user_activation as
with evaluated as (
    select
        persons.person,
        current_steps.step_row,
        current_steps.step_key,
        current_steps.weight_units,
        current_completions.step_row is not null as is_completed
    from persons
    inner join current_steps
        on persons.account = current_steps.account and current_steps.level = 'user'
    left join current_completions
        on
            current_steps.step_row = current_completions.step_row
            and persons.person = current_completions.entity
    where persons.last_seen_date > as_of() - 90
),
counted as (
    select
        person,
        string_agg(step_key, ',' order by step_row) filter (not is_completed) as missing_steps,
        count(*) as step_count,
        count(*) filter (is_completed) as completed_step_count,
        ratio(
            coalesce(sum(weight_units) filter (is_completed), 0)::bigint,
            sum(weight_units)::bigint
        ) as activation_rate
    from evaluated
    group by 1
),
activated as (
    select person_changes.person, min(person_changes.date_day) as activated_date
    from person_changes
    inner join persons on person_changes.person = persons.person
    where
        person_changes.basis = 'scored'
        and person_changes.steps > 0
        and person_changes.done = person_changes.steps
        and person_changes.date_day >= persons.first_seen_date
    group by 1
)
select
    persons.account_id,
    persons.user_id,
    coalesce(counted.missing_steps, '') as missing_steps,
    coalesce(counted.step_count, 0) as step_count,
    coalesce(counted.completed_step_count, 0) as completed_step_count,
    counted.activation_rate,
    activated.activated_date - persons.first_seen_date as days_to_activation,
    coalesce(counted.step_count = counted.completed_step_count, false) as is_activated,
    activated.activated_date,
    as_of() as as_of_date
from persons
left join counted on persons.person = counted.person
left join activated on persons.person = activated.person
where persons.account is not null and persons.last_seen_date > as_of() - 90;

create or replace table account_activation as
with counted as (
    select
        current_steps.account,
        string_agg(current_steps.step_key, ',' order by current_steps.step_row)
            filter (current_completions.step_row is null) as missing_steps
    from current_steps
    left join current_completions
        on
            current_steps.step_row = current_completions.step_row
            and -current_steps.account = current_completions.entity
    where current_steps.level = 'account'
    group by 1
),
activated as (
    select account, min(valid_from) as activated_date
    from activation_stretches
    where is_activated
    group by 1
)
select
    account_dates.account_id,
    coalesce(counted.missing_steps, '') as missing_steps,
    stretches.step_count,
    stretches.completed_step_count,
    stretches.activation_rate,
    stretches.user_count,
    stretches.activated_user_count,
    stretches.user_activation_rate,
    stretches.readiness_rate,
    activated.activated_date - account_dates.first_seen_date as days_to_activation,
    stretches.is_activated,
    activated.activated_date,
    as_of() as as_of_date
from account_dates
inner join activation_stretches as stretches
    on account_dates.account = stretches.account and stretches.valid_to = as_of()
left join counted on account_dates.account = counted.account
left join activated on account_dates.account = activated.account;
