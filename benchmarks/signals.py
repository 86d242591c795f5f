"""How fast trends, flags, history and track record are: a made warehouse, only what they read.

Usage: signals.py [ACCOUNTS] [DAYS]. The marts and intermediate tables are written by SQL into a
temporary file; what is timed is what the assets of the signals do.
"""

import resource
import sys
import tempfile
import time
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.defs.signals import (
    FLAG_TABLES,
    build_account_trends,
    build_flags,
    build_user_trends,
    write_table,
)
from orchestration.dials import load_dials
from orchestration.project import CHECKOUT
from orchestration.signals import tables

AS_OF = date(2026, 6, 30)
USERS_PER_ACCOUNT = 3

# Three users per account, each active on about every fourth day; one account in twelve cancels.
WAREHOUSE = """
create schema intermediate; create schema marts; create schema reference;
create table reference.score_models as select 'default' as score_model, 30 as window_days;

create table marts.accounts as
select
    'a' || lpad(n::varchar, 7, '0') as account_id,
    $first + (hash(n) % ($days // 2))::int as first_seen_date,
    case when hash(n, 1) % 12 = 0 then $first + ($days // 2 + hash(n, 2) % ($days // 2))::int end
        as canceled_date,
    n
from range($accounts) as t(n);

create table marts.user_accounts as
select account_id, account_id || 'u' || u as user_id, first_seen_date, n, u
from marts.accounts cross join range($users) as t(u);

create table days as
select account_id, n, canceled_date, first_seen_date,
    cast(unnest(generate_series(first_seen_date, $as_of, interval 1 day)) as date) as date
from marts.accounts;

create table intermediate.int_point_days as
select
    'default' as score_model, account_id, account_id || 'u' || u as user_id,
    1::bigint as event_count,
    (1 + hash(n, u, date, 1) % 20)::decimal(18, 4) as day_points, date as event_date
from days cross join range($users) as t(u)
where hash(n, u, date) % 4 = 0 and date < coalesce(canceled_date - 20, date '9999-12-31');

create table intermediate.int_feature_days as
select distinct account_id, 'feature' || (hash(user_id, event_date) % 5) as feature, event_date
from intermediate.int_point_days;
create table reference.tracked_events as
select 'feature' || n as feature from range(5) as t(n);

create table intermediate.int_event_days as
select account_id, user_id, event_count, event_date from intermediate.int_point_days;
create table intermediate.int_event_key_days as
select account_id, user_id, 'key' || (hash(user_id, event_date) % 5) as event_key, event_count,
    event_date
from intermediate.int_point_days;

create table marts.account_activation_daily as
select account_id,
    case when date >= canceled_date then 'canceled' else 'paid' end as account_status,
    'plan' || (n % 4) as plan, 3::bigint as user_count,
    (hash(n, d // 30) % 100 / 100)::decimal(18, 6) as activation_rate,
    0.5::decimal(18, 6) as user_activation_rate, 0.6::decimal(18, 6) as readiness_rate, date
from (select *, date - date '2000-01-01' as d from days) as t;

create table marts.account_engagement_daily as
select account_id,
    (hash(n, date_part('month', date)) % 10000 / 100)::decimal(18, 6) as engagement_score,
    50::decimal(18, 6) as engagement_score_avg, 3::bigint as active_user_count,
    0.4::decimal(18, 6) as top_user_share, false as is_benchmark_thin, true as is_default_model,
    date
from days;

create table marts.user_engagement_daily as
select account_id, account_id || 'u' || u as user_id,
    (hash(n, u) % 10000 / 100)::decimal(18, 6) as engagement_score,
    false as is_benchmark_thin, true as is_default_model, date
from days cross join range($users) as t(u);

create table marts.account_engagement as
select 'default' as score_model, account_id, true as is_default_model from marts.accounts;
create table marts.user_engagement as
select 'default' as score_model, account_id, user_id, true as is_default_model
from marts.user_accounts;

create table intermediate.int_account_states as
select account_id, 'paid' as account_status, first_seen_date as valid_from from marts.accounts
union all
select account_id, 'canceled', canceled_date from marts.accounts where canceled_date is not null;

create table intermediate.int_account_contracts as
select account_id, 'contract_started_at' as trait, null::bigint as trait_count,
    first_seen_date as trait_date, first_seen_date as valid_from from marts.accounts
union all
select account_id, 'seats', 4, null, first_seen_date from marts.accounts
union all
select account_id, 'contract_ends_at', null, first_seen_date + 365, first_seen_date
from marts.accounts;

create table intermediate.int_step_rows as
select * from (values
    (1, 'ai', 'AI', 'account', 'key0', true, date '0001-01-01', date '9999-12-31'),
    (2, 'shared', 'Shared', 'user', 'key1', true, date '0001-01-01', date '9999-12-31')
) as t(step_row, step_key, step_name, level, event_key, is_flagship, valid_from, valid_to);
create table intermediate.int_step_applicability as
select 'scored' as basis, step_row, account_id, first_seen_date as valid_from, $as_of as valid_to
from marts.accounts cross join range(1, 3) as t(step_row);
create table intermediate.int_step_completions as
select 1 as step_row, account_id, '' as user_id, first_seen_date + 30 as valid_from,
    $as_of as valid_to from marts.accounts where n % 3 > 0
union all
select 2, account_id, user_id, first_seen_date + 20, $as_of from marts.user_accounts where u > 0;
create table intermediate.int_membership_intervals as
select account_id, user_id, first_seen_date as valid_from, $as_of as valid_to
from marts.user_accounts;
create table intermediate.int_activation_movements as
select 'scored' as basis, 'user' as level, account_id, '' as user_id, 10000 as applicable_units,
    first_seen_date as date_day from marts.accounts;
create table intermediate.int_user_activation_changes as
select 'scored' as basis, account_id, user_id, 10000 as completed_units,
    first_seen_date + 20 as date_day from marts.user_accounts where u > 0;
create table intermediate.int_fleet_days as
select distinct date as date_day, false as is_collapsed from days;
drop table days
"""


def main() -> None:
    """Make the warehouse, time the work, print seconds and the peak of memory."""
    accounts, days = (int(text) for text in (*sys.argv[1:], "100000", "365")[:2])
    values = {
        "accounts": str(accounts),
        "days": str(days),
        "users": str(USERS_PER_ACCOUNT),
        "as_of": f"date '{AS_OF}'",
        "first": f"date '{AS_OF - timedelta(days=days - 1)}'",
    }
    sql = WAREHOUSE
    for name, text in values.items():
        sql = sql.replace(f"${name}", text)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "work.duckdb")
        with closing(duckdb.connect(path)) as connection:
            connection.execute("set memory_limit = '1GB'")
            for statement in sql.split(";"):
                connection.execute(statement)
        with closing(duckdb.connect(path)) as connection:
            connection.execute("set threads = 2")
            connection.execute("set memory_limit = '1GB'")
            begun = time.monotonic()
            trends = build_account_trends(connection, AS_OF)
            write_table(connection, tables.ACCOUNT_SCORE_TRENDS, trends)
            users = build_user_trends(connection, AS_OF)
            write_table(connection, tables.USER_SCORE_TRENDS, users)
            told = time.monotonic()
            built = build_flags(connection, AS_OF, load_dials(CHECKOUT / "seeds"))
            for table in FLAG_TABLES:
                write_table(connection, table, built[table.name])
            ended = time.monotonic()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{accounts:,} accounts x {days} days, {users.height:,} users")
    print(f"trends            {told - begun:6.1f} s")
    print(f"flags and record  {ended - told:6.1f} s   {built['flag_history'].height:,} flags ever")
    print(f"peak of memory    {peak:6.1f} GB")


if __name__ == "__main__":
    main()
