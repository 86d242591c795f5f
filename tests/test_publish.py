"""Publication: complete, read-only, swapped in one step, and never in a reader's way."""

import stat
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration import publish
from orchestration.errors import RunError

DAY = date(2026, 3, 1)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(str(tmp_path / "work.duckdb"))
    connection.execute("""
        create schema raw; create schema marts; create schema reference; create schema ops;
        create table raw.tracks as select 1 as id;
        create table marts.accounts (
            account_id varchar not null, "select" integer, score decimal(18, 6), seen_date date
        );
        insert into marts.accounts values
            ('a', 1, 0.5, date '2026-01-01'), ('b', null, 99.480001, null);
        comment on table marts.accounts is 'One row per account; it''s "quoted"';
        comment on column marts.accounts.score is 'Points on 0-100.';
        create table reference.exclusions (entity varchar);
        create table ops.runs as select 'run-00001-2026-03-01' as run_id;
    """)
    yield connection
    connection.close()


def read(path: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_the_copy_has_the_same_tables_types_rows_and_comments(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    version = publish.publish(work, tmp_path / "published", "run-00001-2026-03-01")

    file = tmp_path / "published" / "current" / "accountpulse.duckdb"
    assert [(t.schema, t.name, t.row_count) for t in version.tables] == [
        ("marts", "accounts", 2),
        ("ops", "runs", 1),
        ("reference", "exclusions", 0),
    ]
    assert read(file, "from marts.accounts order by account_id") == [
        ("a", 1, Decimal("0.500000"), date(2026, 1, 1)),
        ("b", None, Decimal("99.480001"), None),
    ]
    assert read(
        file,
        "select column_name, data_type, is_nullable, comment from duckdb_columns()"
        " where schema_name = 'marts' order by column_index",
    ) == [
        ("account_id", "VARCHAR", False, None),
        ("select", "INTEGER", True, None),
        ("score", "DECIMAL(18,6)", True, "Points on 0-100."),
        ("seen_date", "DATE", True, None),
    ]
    assert read(file, "select comment from duckdb_tables() where schema_name = 'marts'") == [
        ("""One row per account; it's "quoted\"""",)
    ]


def test_the_file_is_written_for_readers_with_an_older_duckdb(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    version = publish.publish(work, tmp_path, "run-00001-2026-03-01")

    told = read(version.folder / "accountpulse.duckdb", "select tags from duckdb_databases()")
    assert "v1.0.0" in str(told)


def test_every_table_is_there_as_parquet_too(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    version = publish.publish(work, tmp_path, "run-00001-2026-03-01")

    files = sorted(
        str(path.relative_to(version.folder)) for path in version.folder.rglob("*.parquet")
    )
    assert files == [
        "parquet/marts/accounts.parquet",
        "parquet/ops/runs.parquet",
        "parquet/reference/exclusions.parquet",
    ]
    parquet = version.folder / "parquet/marts/accounts.parquet"
    assert duckdb.sql(f"select account_id, score from '{parquet}' order by 1").fetchall() == [
        ("a", Decimal("0.500000")),
        ("b", Decimal("99.480001")),
    ]


def test_published_files_cannot_be_written_and_leave_no_log(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    version = publish.publish(work, tmp_path, "run-00001-2026-03-01")

    files = [path for path in version.folder.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o444}
    assert {path.suffix for path in files} == {".duckdb", ".parquet"}


def test_current_is_a_relative_link_to_the_newest_version(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for number in (1, 2):
        publish.publish(work, tmp_path, f"run-0000{number}-2026-03-01")

    assert (tmp_path / "current").readlink() == Path("run-00002-2026-03-01")


def test_a_reader_of_an_old_version_goes_on_reading_while_newer_ones_replace_it(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    publish.publish(work, tmp_path, "run-00001-2026-03-01")
    reader = duckdb.connect(str(tmp_path / "current" / "accountpulse.duckdb"), read_only=True)
    work.execute("delete from marts.accounts")
    for number in range(2, 9):
        publish.publish(work, tmp_path, f"run-0000{number}-2026-03-01")

    assert not (tmp_path / "run-00001-2026-03-01").exists()
    assert reader.execute("select count(*) from marts.accounts").fetchall() == [(2,)]
    current = tmp_path / "current" / "accountpulse.duckdb"
    reader.close()
    assert read(current, "select count(*) from marts.accounts") == [(0,)]


def test_the_last_five_versions_are_kept_by_number_not_by_name(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    names = [f"run-{number:05d}-2026-03-01" for number in range(99_997, 100_004)]
    for name in names:
        publish.publish(work, tmp_path, name)

    assert sorted(path.name for path in tmp_path.glob("run-*")) == sorted(names[-5:])


def test_what_a_killed_run_left_is_removed_and_was_never_visible(
    work: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    publish.publish(work, tmp_path, "run-00001-2026-03-01")
    (tmp_path / "run-00002-2026-03-02.partial" / "parquet").mkdir(parents=True)
    (tmp_path / "run-00002-2026-03-02.partial" / "accountpulse.duckdb").write_text("half")
    (tmp_path / "current.4711").symlink_to("run-00002-2026-03-02")
    assert (tmp_path / "current").readlink() == Path("run-00001-2026-03-01")

    publish.publish(work, tmp_path, "run-00002-2026-03-02")

    assert sorted(path.name for path in tmp_path.iterdir() if "work" not in path.name) == [
        "current",
        "run-00001-2026-03-01",
        "run-00002-2026-03-02",
    ]


def test_a_failing_copy_leaves_current_as_it_was(
    work: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.publish(work, tmp_path, "run-00001-2026-03-01")
    insert = publish.insert_statement
    monkeypatch.setattr(publish, "insert_statement", lambda table: f"{insert(table)} limit 1")
    with pytest.raises(RunError, match="1 rows were copied of 2"):
        publish.publish(work, tmp_path, "run-00002-2026-03-01")

    assert (tmp_path / "current").readlink() == Path("run-00001-2026-03-01")
    assert not (tmp_path / "run-00002-2026-03-01").exists()


def test_a_name_counts_on_from_every_run_that_ever_was(tmp_path: Path) -> None:
    (tmp_path / "run-00007-2026-03-01").mkdir()

    assert publish.run_name(tmp_path, [], DAY) == "run-00008-2026-03-01"
    assert publish.run_name(tmp_path, ["run-00011-2026-02-01"], DAY) == "run-00012-2026-03-01"
    assert publish.run_name(tmp_path / "none", [], DAY) == "run-00001-2026-03-01"
