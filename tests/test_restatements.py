"""What a run that built everything anew says became other than in the version before."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration import restatements

OLD, NEW = date(2026, 3, 9), date(2026, 3, 10)
SCORES = "(score_model varchar, account_id varchar, engagement_score decimal(18, 6), date date)"
BEFORE = [
    ("default", "acme", 40, OLD),
    ("default", "bolt", 50, OLD),
    ("video", "acme", 40, OLD),
    ("default", "gone", 70, OLD),
    ("default", "acme", 41, NEW),
]


def version(path: Path, rows: list[tuple[object, ...]]) -> duckdb.DuckDBPyConnection:
    """Make a file with a daily mart, another one with rates, and the record of a run."""
    connection = duckdb.connect(str(path))
    connection.execute("create schema marts; create schema ops")
    connection.execute(f"create table marts.account_engagement_daily {SCORES}")
    connection.executemany("insert into marts.account_engagement_daily values (?, ?, ?, ?)", rows)
    connection.execute(
        "create table marts.account_activation_daily as select 'acme' as account_id, 0.5 as"
        " activation_rate, ? as activation_rate_restated, date '2026-03-09' as date",
        [float(len(rows))],
    )
    connection.execute("create table ops.runs (run_id varchar, as_of_date date)")
    connection.execute("insert into ops.runs values ('run-1', '2026-03-01'), ('run-2', ?)", [NEW])
    return connection


def told(
    tmp_path: Path, before: list[tuple[object, ...]], now: list[tuple[object, ...]]
) -> list[tuple[object, ...]]:
    version(tmp_path / "before.duckdb", before).close()
    with version(tmp_path / "work.duckdb", now) as work:
        days = restatements.record(work, "run-3", tmp_path / "before.duckdb")
        rows = work.execute(
            "select restated_date, account_engagement_daily_count, score_change_max,"
            " user_engagement_daily_count + event_usage_daily_count"
            " + account_activation_daily_count"
            " from ops.restatements where run_id = 'run-3' order by restated_date"
        ).fetchall()
    assert days == (len(rows), rows[0][0] if rows else None)
    return rows


def test_rows_that_came_went_or_changed_are_counted_by_day(tmp_path: Path) -> None:
    now = [
        ("default", "acme", 42.5, OLD),  # was 40
        ("default", "bolt", 50, OLD),
        ("video", "acme", 40, OLD),
        ("default", "come", 7, OLD),  # and gone has gone, with 70
        ("default", "acme", 41, NEW),
    ]
    assert told(tmp_path, BEFORE, now) == [(OLD, 3, 70, 0)]


def test_days_after_the_version_before_are_new_and_not_restated(tmp_path: Path) -> None:
    later = ("default", "acme", 99, date(2026, 3, 11))
    assert told(tmp_path, BEFORE, [*BEFORE[::-1], later]) == []


def test_a_mart_that_only_one_version_has_is_left_out(tmp_path: Path) -> None:
    with version(tmp_path / "before.duckdb", BEFORE) as before:
        before.execute("drop table marts.account_engagement_daily")
    with version(tmp_path / "work.duckdb", BEFORE[:2]) as work:
        assert restatements.record(work, "run-3", tmp_path / "before.duckdb") == (0, None)


def test_of_the_first_version_nothing_is_told(tmp_path: Path) -> None:
    with version(tmp_path / "work.duckdb", BEFORE) as work:
        assert restatements.record(work, "run-3", tmp_path / "none.duckdb") == (0, None)


def test_a_damaged_version_before_leaves_nothing_half_told(tmp_path: Path) -> None:
    (tmp_path / "before.duckdb").write_bytes(b"x" * 20_000)
    with version(tmp_path / "work.duckdb", BEFORE) as work:
        with pytest.raises(duckdb.Error):
            restatements.record(work, "run-3", tmp_path / "before.duckdb")
        assert work.execute("select count(*) from ops.restatements").fetchall() == [(0,)]
