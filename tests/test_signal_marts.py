"""Trends as marts: what is read from the warehouse, how tables are written, and the checks."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
import pytest

from orchestration.defs import signals
from orchestration.defs.resources import Warehouse
from orchestration.defs.signals import (
    build_account_trends,
    build_user_trends,
    check_key,
    write_table,
)
from orchestration.project import CHECKOUT, Settings
from orchestration.signals import tables
from orchestration.signals.tables import Table

AS_OF = date(2026, 3, 31)
SEEDS = CHECKOUT / "seeds"
TABLES = (
    tables.USER_SCORE_TRENDS,
    tables.ACCOUNT_SCORE_TRENDS,
    tables.USER_FLAGS,
    tables.ACCOUNT_FLAGS,
    tables.FLAG_HISTORY,
    tables.FLAG_PERFORMANCE,
    tables.ACCOUNT_CHURN_RISK,
    tables.RISK_RANKING_PERFORMANCE,
)

# acme: paid, busy, its flagships untouched; beta: paid, silent for 30 days; gone: canceled.
# Model `late` scores acme only, and only since last week.
WAREHOUSE = """
create schema raw; create schema intermediate; create schema marts; create schema reference;

create table reference.score_models as
from (values ('default', 30), ('late', 10)) as t(score_model, window_days);

create table marts.accounts as
select *, null::date as trial_ends_date, date '2025-09-01' as contract_started_date,
    date '2026-08-31' as contract_ends_date
from (values
    ('acme', 'paid', 2, date '2025-09-01', date '2026-03-31'),
    ('beta', 'paid', 1, date '2025-11-01', date '2026-03-30'),
    ('gone', 'canceled', 0, date '2025-06-01', date '2025-12-01')
) as t(account_id, account_status, user_count, first_seen_date, last_seen_date);

create table marts.user_accounts as
from (values
    ('acme', 'ann', date '2025-09-01', date '2026-03-31'),
    ('acme', 'bob', date '2026-03-01', date '2026-03-31'),
    ('beta', 'cem', date '2025-11-01', date '2026-03-01')
) as t(account_id, user_id, first_seen_date, last_seen_date);

-- ann: 10 points on every day of the last 16 weeks; bob: 5 on each of his 31 days;
-- cem: 20 a day until 2026-03-01; the other model halves what ann does, and sees cem once more
create table intermediate.int_point_days as
select 'default' as score_model, 'acme' as account_id, 'ann' as user_id,
    10::decimal(18, 4) as day_points, date '2026-03-31' - n::int as event_date from range(112) t(n)
union all
select 'default', 'acme', 'bob', 5, date '2026-03-31' - n::int from range(31) t(n)
union all
select 'default', 'beta', 'cem', 20, date '2026-03-01' - n::int from range(82) t(n)
union all
select 'late', 'acme', 'ann', 5, date '2026-03-31' - n::int from range(112) t(n)
union all
select 'late', 'beta', 'cem', 5, date '2026-03-30'
union all
select 'default', 'beta', 'cem', 0, date '2026-03-29';

create table marts.account_engagement as
select *, false as is_benchmark_thin from (values
    ('default', 'acme', 450.0, 91.5, 60.0, 2, true),
    ('default', 'beta', 0.0, 0.0, null, 0, true),
    ('default', 'gone', 0.0, 0.0, null, 0, true),
    ('late', 'acme', 50.0, 90.0, 90.0, 1, false)
) as t(score_model, account_id, engagement_points, engagement_score, engagement_score_avg,
    active_user_count, is_default_model);

create table marts.user_engagement as
select *, false as is_benchmark_thin from (values
    ('default', 'acme', 'ann', 300.0, 93.0, 30, true),
    ('default', 'acme', 'bob', 150.0, 40.0, 30, true),
    ('default', 'beta', 'cem', 0.0, 0.0, 0, true),
    ('late', 'acme', 'ann', 50.0, 95.0, 10, false)
) as t(score_model, account_id, user_id, engagement_points, engagement_score, active_day_count,
    is_default_model);
"""


def filled(path: Path) -> None:
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(WAREHOUSE)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    filled(tmp_path / "work.duckdb")
    with closing(duckdb.connect(str(tmp_path / "work.duckdb"))) as opened:
        yield opened


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    filled(tmp_path / "work.duckdb")
    return Warehouse.of(Settings(raw=None, warehouse=tmp_path, seeds=SEEDS, timezone="UTC"))


def test_trends_of_accounts(connection: duckdb.DuckDBPyConnection) -> None:
    rows = build_account_trends(connection, AS_OF).select(
        "score_model",
        "account_id",
        "trend",
        "weeks_observed",
        "points_now",
        "points_baseline",
        "baseline_ratio",
    )
    assert rows.rows() == [
        # Last three weeks 7 * (10 + 5) = 105 each; twelve weeks at 70, bob's first days aside:
        # weeks 4 to 15 end on 2026-03-03, so the youngest of them has three of his days.
        ("default", "acme", "rising", 30, 105.0, 70.0, 1.5),
        # Silent since 2026-03-02; weeks 4 to 15 begin on 2025-12-10, eleven of them are full.
        ("default", "beta", "falling", 21, 0.0, 140.0, 0.0),
        ("default", "gone", "steady", 43, 0.0, 0.0, None),
        # Scored since last week, but its points were there before.
        ("late", "acme", "steady", 30, 35.0, 35.0, 1.0),
    ]


def test_trends_of_users(connection: duckdb.DuckDBPyConnection) -> None:
    rows = build_user_trends(connection, AS_OF).select(
        "score_model", "account_id", "user_id", "trend", "weeks_observed", "points_now"
    )
    assert rows.rows() == [
        ("default", "acme", "ann", "steady", 30, 70.0),
        ("default", "acme", "bob", "not_enough_data", 4, 35.0),
        ("default", "beta", "cem", "falling", 21, 0.0),
        ("late", "acme", "ann", "steady", 30, 35.0),
    ]


def test_trends_of_an_earlier_day_know_nothing_later(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    earlier = AS_OF - timedelta(days=35)  # before bob, and cem still active
    expected = build_account_trends(connection, earlier)
    connection.execute("delete from intermediate.int_point_days where event_date > ?", [earlier])
    assert build_account_trends(connection, earlier).equals(expected)
    assert expected["points_now"].to_list() == [70.0, 140.0, 0.0, 35.0]


def test_a_written_table_has_types_comments_and_rounded_numbers(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    table = tables.ACCOUNT_SCORE_TRENDS
    write_table(connection, table, build_account_trends(connection, AS_OF))
    described = connection.execute(
        """
        select column_name, data_type, comment from duckdb_columns()
        where schema_name = 'marts' and table_name = 'account_score_trends' order by column_index
        """
    ).fetchall()
    assert [(name, kind.replace(",", ", "), comment) for name, kind, comment in described] == [
        (column.name, column.type, column.description) for column in table.columns
    ]
    assert connection.execute(
        "select comment from duckdb_tables() where table_name = 'account_score_trends'"
    ).fetchall() == [(table.description,)]
    assert connection.execute(
        "select baseline_ratio from marts.account_score_trends where account_id = 'acme'"
    ).fetchall() == [(Decimal("1.500000"),), (Decimal("1.000000"),)]


def test_a_table_is_written_whole_or_not_at_all(connection: duckdb.DuckDBPyConnection) -> None:
    rows = build_account_trends(connection, AS_OF)
    write_table(connection, tables.ACCOUNT_SCORE_TRENDS, rows)
    broken = rows.head(1).with_columns(points_now=pl.lit("much"))
    with pytest.raises(duckdb.ConversionException):
        write_table(connection, tables.ACCOUNT_SCORE_TRENDS, broken)
    (count,) = connection.execute("select count(*) from marts.account_score_trends").fetchall()[0]
    assert count == rows.height


@pytest.mark.parametrize(
    ("keys", "failed"), [(["a", "b"], 0), (["a", "a", "b"], 2), ([None, "b"], 1), ([None, None], 2)]
)
def test_key_check_counts_rows(
    connection: duckdb.DuckDBPyConnection, keys: list[str | None], failed: int
) -> None:
    table = Table("keyed", "One row per key.", ("k",), (tables.Column("k", tables.TEXT, "Key."),))
    write_table(connection, table, pl.DataFrame({"k": keys}, schema={"k": pl.String}))
    result = check_key(connection, table)
    assert result.passed is (failed == 0)
    assert result.metadata["failed_row_count"].value == failed


def test_column_order_is_ids_text_numbers_booleans_dates() -> None:
    rank = {tables.TEXT: 1, tables.COUNT: 2, tables.NUMBER: 2, tables.BOOLEAN: 3, tables.DATE: 4}
    for table in TABLES:
        ids = {name for name in table.key if name not in {"opened_date", "horizon_days"}}
        ranks = [0 if c.name in ids else rank[c.type] for c in table.columns]
        assert ranks == sorted(ranks)
        assert all(column.description.endswith(".") for column in table.columns)
        assert table.description.startswith("One row per ")


ASSETS = [
    signals.user_score_trends,
    signals.account_score_trends,
]


def materialize(warehouse: Warehouse) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        ASSETS,
        resources={"warehouse": warehouse},
        tags={"dagster/partition": AS_OF.isoformat()},
        raise_on_error=False,
    )


def test_assets_write_their_tables_and_tell_counts_and_checks(warehouse: Warehouse) -> None:
    result = materialize(warehouse)
    assert result.success
    counts = {
        event.asset_key.to_user_string(): event.materialization.metadata["dagster/row_count"].value
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert counts == {
        "marts/user_score_trends": 4,
        "marts/account_score_trends": 4,
    }
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True] * 2
    with closing(warehouse.connect()) as connection:
        days = connection.execute(
            "select distinct as_of_date from marts.account_score_trends"
        ).fetchall()
    assert days == [(AS_OF,)]


def test_a_failed_key_check_stops_what_comes_after(warehouse: Warehouse) -> None:
    with closing(warehouse.connect()) as connection:
        connection.execute("insert into marts.accounts from marts.accounts where account_id='beta'")
    result = materialize(warehouse)
    assert not result.success
    failed = [c for c in result.get_asset_check_evaluations() if not c.passed]
    assert [c.asset_key.to_user_string() for c in failed] == ["marts/account_score_trends"]


def test_assets_are_grouped_owned_and_described() -> None:
    specs = {spec.key.path[-1]: spec for asset in (*ASSETS, signals.flags) for spec in asset.specs}
    checks = [check for asset in (*ASSETS, signals.flags) for check in asset.check_specs]
    assert sorted(specs) == sorted(table.name for table in TABLES)
    for table in TABLES:
        spec = specs[table.name]
        assert spec.key == dg.AssetKey(["marts", table.name])
        assert spec.group_name == "signals"
        assert spec.owners
        assert spec.description == table.description
    assert all(check.blocking for check in checks)
    assert sorted(check.asset_key.path[-1] for check in checks) == sorted(specs)
