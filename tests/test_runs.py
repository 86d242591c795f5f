"""The record of runs: what a run says of itself, and which run another can build on."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration import runs

DAY = date(2026, 3, 10)


@pytest.fixture
def work() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("create schema staging")
    for table, time in (("tracks", "event_at"), ("identifies", "row_at"), ("groups", "row_at")):
        connection.execute(
            f"create table staging.stg_{table}"
            f" (load_id bigint, received_at timestamp, {time} timestamp)"
        )
    yield connection
    connection.close()


def add(work: duckdb.DuckDBPyConnection, load: int | None, received: str, happened: str) -> None:
    work.execute("insert into staging.stg_tracks values (?, ?, ?)", [load, received, happened])


def record(
    work: duckdb.DuckDBPyConnection,
    number: int,
    as_of: date = DAY,
    *,
    code: str = "code",
    timezone: str = "UTC",
    load: int | None = None,
    from_date: date | None = None,
    changed_from: date | None = None,
) -> tuple[object, ...]:
    """Records a run after a load; tells load_count, freshest_received_at, restated_from_date."""
    run_id = f"run-{number:05d}-{as_of}"
    if load is None:  # the last that brought rows
        ((load,),) = work.execute("select max(load_id) from staging.stg_tracks").fetchall()
    runs.record(
        work,
        runs.Run(
            *(run_id, "dials", code, timezone, as_of, load),
            from_date=from_date,
            changed_from=changed_from,
        ),
    )
    (told,) = work.execute(
        "select load_count, strftime(freshest_received_at, '%Y-%m-%d %H:%M'), restated_from_date"
        " from ops.runs where run_id = ?",
        [run_id],
    ).fetchall()
    return told


def test_the_first_run_knows_all_rows_and_restates_nothing(
    work: duckdb.DuckDBPyConnection,
) -> None:
    add(work, 1, "2026-03-09 12:00", "2026-03-01 12:00")
    add(work, 2, "2026-03-08 12:00", "2026-03-02 12:00")

    assert record(work, 1) == (2, "2026-03-09 12:00", None)


def test_a_later_run_tells_the_newest_of_all_and_the_earliest_day_that_became_other(
    work: duckdb.DuckDBPyConnection,
) -> None:
    """By itself or because it was asked to restate; what came in alone says nothing of days."""
    add(work, 1, "2026-03-09 12:00", "2026-03-01 12:00")
    record(work, 1)
    add(work, 2, "2026-03-08 12:00", "2026-03-04 12:00")

    changed, asked, newest = date(2026, 3, 6), date(2026, 2, 1), (2, "2026-03-09 12:00")
    assert record(work, 2, changed_from=changed) == (*newest, changed)
    assert record(work, 3) == (*newest, None)
    assert record(work, 4, from_date=asked) == (*newest, asked)
    assert record(work, 5, from_date=asked, changed_from=changed) == (*newest, asked)
    assert record(work, 6, from_date=changed, changed_from=asked) == (*newest, asked)


def test_a_record_that_an_earlier_version_began_goes_on(work: duckdb.DuckDBPyConnection) -> None:
    add(work, 1, "2026-03-09 12:00", "2026-03-01 12:00")
    record(work, 1)
    work.execute("alter table ops.runs drop column is_full_build")
    add(work, 2, "2026-03-09 18:00", "2026-03-04 12:00")

    assert record(work, 2) == (2, "2026-03-09 18:00", None)
    assert work.execute("select is_full_build from ops.runs order by run_id").fetchall() == [
        (None,),
        (True,),
    ]


def test_a_first_day_after_the_run_before_is_new_not_restated(
    work: duckdb.DuckDBPyConnection,
) -> None:
    add(work, 1, "2026-03-09 12:00", "2026-03-01 12:00")
    record(work, 1)

    day = date(2026, 3, 11)
    assert record(work, 2, day, from_date=day) == (1, "2026-03-09 12:00", None)


def test_rows_that_came_by_no_load_are_always_read(work: duckdb.DuckDBPyConnection) -> None:
    add(work, None, "2026-03-01 12:00", "2026-03-01 12:00")
    assert record(work, 1) == (None, "2026-03-01 12:00", None)
    add(work, None, "2026-03-09 12:00", "2026-03-04 12:00")

    assert record(work, 2) == (None, "2026-03-09 12:00", None)


def test_of_rows_that_came_by_a_load_only_new_ones_are_read(
    work: duckdb.DuckDBPyConnection,
) -> None:
    add(work, 1, "2026-03-09 12:00", "2026-03-01 12:00")
    record(work, 1)
    work.execute("drop table staging.stg_tracks")
    work.execute(
        "create view staging.stg_tracks as select load_id,"
        " if(load_id > 1, timestamp '2026-03-10', error('an old row was read')) as received_at,"
        " timestamp '2026-03-08' as event_at from range(1, 3) as t (load_id)"
    )

    assert record(work, 2) == (2, "2026-03-10 00:00", None)


def test_the_last_load_is_known_also_where_it_brought_no_row(
    work: duckdb.DuckDBPyConnection,
) -> None:
    add(work, 1, "2026-03-09 12:00", "2026-03-01 12:00")

    assert record(work, 1, load=2) == (2, "2026-03-09 12:00", None)


def test_a_run_can_build_on_the_one_before_by_the_same_code_and_time_zone(
    work: duckdb.DuckDBPyConnection,
) -> None:
    record(work, 1)
    record(work, 2)
    record(work, 3, code="other")
    record(work, 4, code="other", timezone="Europe/Berlin")

    names = [f"run-0000{number}-2026-03-10" for number in range(1, 5)]
    assert [runs.before(work, name) for name in names] == [None, names[0], None, None]


def test_what_was_recorded_of_runs_that_were_not_published_is_taken_back(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    runs.forget_unpublished(work, tmp_path)
    record(work, 1)
    record(work, 2)
    work.execute("create table ops.dial_changes as select run_id from ops.runs")
    runs.forget_unpublished(work, tmp_path)
    assert len(runs.known(work)) == 2

    (tmp_path / "current").symlink_to(f"run-00001-{DAY}")
    runs.forget_unpublished(work, tmp_path)

    assert runs.known(work) == [f"run-00001-{DAY}"]
    assert work.execute("from ops.dial_changes").fetchall() == [(f"run-00001-{DAY}",)]


def test_loads_that_an_erasure_has_emptied_are_no_news(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    work.execute("create schema raw")
    for table in runs.RAW_TABLES:
        work.execute(f"create table raw.{table} as select 1 as id limit 0")
    work.execute("insert into raw.tracks values (1)")
    add(work, 2, "2026-03-09 12:00", "2026-03-01 12:00")
    record(work, 1)
    (tmp_path / "current").symlink_to(f"run-00001-{DAY}")
    work.execute(
        "create table ops.landed_files as from (values (1, 'tracks', 1), (2, 'tracks', 0))"
        " as files(load_id, table_name, row_count)"
    )
    again = runs.Run("", "dials", "code", "UTC", DAY)
    assert runs.published_already(work, tmp_path, again)

    work.execute("insert into ops.landed_files values (3, 'tracks', 1)")
    work.execute("insert into raw.tracks values (2)")
    assert not runs.published_already(work, tmp_path, again)
