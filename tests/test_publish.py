"""Publication: complete, read-only, swapped in one step, and never in a reader's way."""

import errno
import hashlib
import os
import random
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration import publish, runs, tested
from orchestration.errors import RunError
from orchestration.project import CHECKOUT

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
    others = ["run-00001-2026-03-01.bak", "run-old"]
    for name in others:
        (tmp_path / name).mkdir()
    for name in names:
        publish.publish(work, tmp_path, name)

    kept = sorted(path.name for path in tmp_path.glob("run-*"))
    assert kept == sorted([*names[-5:], *others])


def test_an_old_version_that_cannot_be_removed_now_goes_with_the_next_publication(
    work: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that holds somebody who was erased has to go."""
    names = [f"run-{number:05d}-2026-03-01" for number in range(1, 9)]
    for name in names[:5]:
        publish.publish(work, tmp_path, name)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTEMPTY, "a reader has it open")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", refuse)
        publish.publish(work, tmp_path, names[5])
        assert (tmp_path / "current").resolve().name == names[5]
        with pytest.raises(OSError, match="a reader has it open"):
            publish.publish(work, tmp_path, names[6], first_kept=6)
    publish.publish(work, tmp_path, names[7])
    assert sorted(path.name for path in tmp_path.glob("run-*")) == names[-5:]


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
    for name in ("run-00007-2026-03-01", "run-old", "run-00009-2026-03-01.bak"):
        (tmp_path / name).mkdir()

    assert publish.run_name(tmp_path, [], DAY) == "run-00008-2026-03-01"
    assert publish.run_name(tmp_path, ["run-00011-2026-02-01"], DAY) == "run-00012-2026-03-01"
    assert publish.run_name(tmp_path / "none", [], DAY) == "run-00001-2026-03-01"


FIRST = date(2026, 1, 20)
LAST = date(2026, 5, 10)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
DAILY = {
    "account_engagement_daily": "account_id varchar not null, plan varchar, points decimal(18, 4)",
    "event_usage_daily": "account_id varchar, user_id varchar, event_key varchar, n bigint",
    "user_engagement_daily": "account_id varchar, user_id varchar, is_active boolean",
    "account_activation_daily": "account_id varchar, rate_restated decimal(18, 6)",
}
BY_DAY = ("account_engagement_daily", "event_usage_daily", "user_engagement_daily")
SOME_ROWS = {
    "account_engagement_daily": "'a' || n, if(n = 1, null, 'pro'), n / 4",
    "event_usage_daily": "'a' || n % 2, 'u' || n, 'key', n",
    "user_engagement_daily": "'a' || n % 2, 'u' || n, n % 3 = 0",
    "account_activation_daily": "'a' || n, n / 7",
}


def history(path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A work file with four months of history: three rows of each daily mart per day."""
    work = duckdb.connect(str(path or ":memory:"))
    work.execute("create schema marts; create schema reference; create schema ops")
    for name, columns in DAILY.items():
        work.execute(f'create table marts.{name} ({columns}, "date" date)')
        work.execute(f"comment on column marts.{name}.account_id is 'Who.'")
        work.execute(
            f"insert into marts.{name} select {SOME_ROWS[name]}, day"
            " from range(3) as t (n), (select unnest($days::date[]) as day)"
            " order by day desc, n",
            {"days": DAYS},
        )
    work.execute("create table marts.accounts as select 'a1' as account_id")
    work.execute("create table reference.exclusions (entity varchar)")
    return work


@pytest.fixture
def past() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(history()) as work:
        yield work


def restate(work: duckdb.DuckDBPyConnection, day: date, rows: int, salt: int = 0) -> None:
    """Gives a day other rows."""
    for name in DAILY:
        work.execute(f'delete from marts.{name} where "date" = ?', [day])
        work.execute(
            f"insert into marts.{name} select {SOME_ROWS[name]}, ?"
            " from (select i * (1 + ?) as n from range(?) as t (i))",
            [day, salt, rows],
        )


def next_run(
    work: duckdb.DuckDBPyConnection,
    published: Path,
    changed_days: list[date] | None = None,
    code: str = "code",
) -> publish.Version:
    """Records a run and publishes it; these days of the marts in `BY_DAY` have changed."""
    name = publish.run_name(published, runs.known(work), DAY)
    columns = "run_id, dial_fingerprint, code_fingerprint, reporting_timezone, as_of_date"
    work.execute(f"insert into ops.runs ({columns}) values (?, '', ?, 'UTC', ?)", [name, code, DAY])
    days = None if changed_days is None else dict.fromkeys(BY_DAY, changed_days)
    return publish.publish(work, published, name, days)


def content(folder: Path) -> dict[str, Any]:
    """All that a reader sees of a version, in no order: types, comments, rows, file names."""
    seen: dict[str, Any] = {}
    with closing(duckdb.connect(str(folder / "accountpulse.duckdb"), read_only=True)) as reader:
        seen["tables"] = reader.execute(
            "select schema_name, table_name, comment from duckdb_tables() order by all"
        ).fetchall()
        seen["columns"] = reader.execute(
            "select schema_name, table_name, column_index, column_name, data_type, is_nullable,"
            " comment from duckdb_columns() where list_contains($schemas, schema_name)"
            " order by all",
            {"schemas": publish.SCHEMAS},
        ).fetchall()
        for schema, name, _ in seen["tables"]:
            place = folder / "parquet" / schema
            files = [str(path) for path in place.glob(f"{name}/*.parquet")]
            files = files or [str(place / f"{name}.parquet")]
            seen[f"{schema}.{name}"] = reader.execute(
                f"from {schema}.{name} order by all"
            ).fetchall()
            parquet = reader.execute("from read_parquet($files) order by all", {"files": files})
            types = [(column, str(kind)) for column, kind, *_ in parquet.description or []]
            seen[f"{schema}.{name}, Parquet"] = types, parquet.fetchall()
    seen["files"] = {path.relative_to(folder) for path in folder.rglob("*")}
    return seen


def fingerprints(folder: Path) -> dict[Path, str]:
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def inodes(folder: Path) -> dict[Path, int]:
    return {
        path.relative_to(folder): path.stat().st_ino for path in folder.rglob("*") if path.is_file()
    }


def test_of_every_daily_mart_the_changed_days_are_known() -> None:
    models = CHECKOUT / "dbt_project" / "models" / "marts"
    with closing(duckdb.connect()) as work:
        work.execute(
            "create schema intermediate;"
            " create table intermediate.int_known_run as select 1 as load_id;"
            " create table intermediate.int_restated_days as"
            " select unnest([date '2026-03-01', date '2026-02-01']) as date_day;"
            " create table intermediate.int_restated_activation_days as"
            " select unnest(['a1', 'a2']) as account_id, date '2026-03-01' as date_day"
        )
        days = runs.changed_days(work)
        work.execute("update intermediate.int_known_run set load_id = null")
        assert runs.changed_days(work) is None

    first, last = date(2026, 2, 1), date(2026, 3, 1)
    assert days == {
        path.stem: (last,) if path.stem == "account_activation_daily" else (first, last)
        for path in models.glob("**/*_daily.sql")
    }


def test_a_daily_mart_has_a_parquet_file_per_month_and_is_sorted_by_date(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:

    folder = next_run(past, tmp_path).folder

    months = [f"2026-0{month}.parquet" for month in range(1, 6)]
    for name in DAILY:
        place = folder / "parquet" / "marts" / name
        assert sorted(path.name for path in place.iterdir()) == months
        days = duckdb.sql(f"select distinct \"date\" from '{place}/2026-03.parquet'").fetchall()
        assert {day for (day,) in days} == {day for day in DAYS if day.month == 3}
        dates = read(folder / "accountpulse.duckdb", f'select "date" from marts.{name}')
        assert dates == [(day,) for day in DAYS for _ in range(3)]


def test_a_daily_mart_without_rows_can_be_read_as_parquet(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    past.execute("delete from marts.event_usage_daily")

    empty = next_run(past, tmp_path).folder
    restate(past, DAYS[0], 2)
    filled = next_run(past, tmp_path, DAYS[:1])
    past.execute("delete from marts.event_usage_daily")
    emptied = next_run(past, tmp_path, DAYS[:1])

    assert (filled.whole, emptied.whole) == ("", "")
    files = "parquet/marts/event_usage_daily/*.parquet"
    for folder, rows in ((empty, 0), (filled.folder, 2), (emptied.folder, 0)):
        assert len(list(folder.glob(files))) == 1
        found = duckdb.sql(f"select account_id, n, date from '{folder}/{files}'").fetchall()
        assert len(found) == rows


edits = st.lists(
    st.lists(
        st.tuples(
            st.integers(-20, len(DAYS) + 40).map(lambda n: FIRST + timedelta(days=n)),
            st.integers(0, 5),
            st.integers(0, 3),
        ),
        max_size=6,
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits, st.randoms())
def test_versions_built_on_each_other_equal_one_of_which_everything_was_copied(
    tmp_path: Path, deliveries: list[list[tuple[date, int, int]]], chance: random.Random
) -> None:
    published = Path(tempfile.mkdtemp(dir=tmp_path))
    with closing(history()) as work:
        next_run(work, published)
        for delivery in deliveries:
            for day, rows, salt in delivery:
                restate(work, day, rows, salt)
            work.execute("update marts.account_activation_daily set rate_restated = random()")
            work.execute("insert into marts.accounts select uuid()::varchar")
            changed = [day for day, *_ in delivery]
            chance.shuffle(changed)
            version = next_run(work, published, [*changed, *changed[:1]])
            assert version.whole == ""
        whole = publish.publish(work, published / "whole", version.folder.name)
        assert content(version.folder) == content(whole.folder)
        assert version.tables == whole.tables


def test_only_months_without_a_changed_day_share_a_file_with_the_version_before(
    past: duckdb.DuckDBPyConnection,
    tmp_path: Path,
) -> None:
    first = inodes(next_run(past, tmp_path).folder)
    for day in (date(2026, 2, 3), LAST + timedelta(days=1)):
        restate(past, day, 4)

    version = next_run(past, tmp_path, [date(2026, 2, 3), LAST + timedelta(days=1)])

    shared = {path for path, inode in inodes(version.folder).items() if inode == first[path]}
    assert shared == {
        Path(f"parquet/marts/{name}/2026-0{month}.parquet")
        for name in BY_DAY
        for month in (1, 3, 4)
    }
    files = [path for path in version.folder.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o444}
    assert {path.suffix for path in files} == {".duckdb", ".parquet"}


def test_where_everything_is_copied_no_file_is_shared(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    first = inodes(next_run(past, tmp_path).folder)
    second = inodes(next_run(past, tmp_path, []).folder)
    third = inodes(next_run(past, tmp_path).folder)

    assert set(first.values()) & set(second.values())
    assert not set(third.values()) & {*first.values(), *second.values()}


def test_where_the_file_system_cannot_link_or_copy_by_itself_files_are_read_and_written(
    past: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    first = next_run(past, tmp_path).folder
    second = next_run(past, tmp_path, [])

    assert second.whole == ""
    assert not set(inodes(first).values()) & set(inodes(second.folder).values())
    place = Path("parquet/marts/event_usage_daily/2026-03.parquet")
    assert (first / place).read_bytes() == (second.folder / place).read_bytes()
    whole = publish.publish(past, tmp_path / "whole", second.folder.name)
    assert content(second.folder) == content(whole.folder)


def test_a_version_that_is_built_on_another_can_be_read_by_an_older_duckdb_too(
    past: duckdb.DuckDBPyConnection,
    tmp_path: Path,
) -> None:
    next_run(past, tmp_path)
    version = next_run(past, tmp_path, [LAST])

    assert version.whole == ""
    told = read(
        version.folder / "accountpulse.duckdb",
        "select database_name, tags from duckdb_databases() where not internal",
    )
    assert told == [("accountpulse", {"storage_version": "v1.0.0+"})]


def test_a_version_is_built_on_one_that_a_reader_has_open(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    first = next_run(past, tmp_path).folder
    with closing(duckdb.connect(str(first / "accountpulse.duckdb"), read_only=True)) as reader:
        count = "select count(*), count(distinct account_id) from marts.event_usage_daily"
        before = reader.execute(count).fetchall()
        for number in range(1, 8):
            restate(past, LAST, 3 + number)
            version = next_run(past, tmp_path, [LAST])
            assert version.whole == ""
            assert reader.execute(count).fetchall() == before
        assert not first.exists()
    assert read(version.folder / "accountpulse.duckdb", count) == past.execute(count).fetchall()


def test_links_go_on_after_the_version_that_wrote_the_file_is_gone(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    versions = [next_run(past, tmp_path)]
    versions += [next_run(past, tmp_path, [LAST]) for _ in range(publish.KEPT + 1)]

    assert not versions[0].folder.exists()
    whole = publish.publish(past, tmp_path / "whole", versions[-1].folder.name)
    assert content(versions[-1].folder) == content(whole.folder)


STEPS = [
    ("_copy_file", 1),
    ("_fill", 1),
    ("insert_statement", 4),
    ("_counted", 1),
    ("_write_parquet", 1),
    ("_link", 2),
    ("flush", 1),
    ("flush", 12),
    ("_switch", 1),
    ("_prune", 1),
]

KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_publish as t

step, count = sys.argv[4], int(sys.argv[5])
work = t.duckdb.connect(sys.argv[2])
original = getattr(t.publish, step)

def counting(*args, **kwargs):
    global count
    count -= 1
    if not count:
        os._exit(9)
    return original(*args, **kwargs)

setattr(t.publish, step, counting)
t.restate(work, t.LAST, 7)
t.next_run(work, Path(sys.argv[3]), [t.LAST])
"""


@pytest.mark.parametrize(("step", "count"), STEPS)
def test_a_run_killed_at_any_step_leaves_readers_a_whole_version_and_the_next_run_works(
    tmp_path: Path, step: str, count: int
) -> None:
    published = tmp_path / "published"
    with closing(history(tmp_path / "work.duckdb")) as work:
        first = next_run(work, published).folder
    untouched, seen = fingerprints(first), content(first)

    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED,
            Path(__file__).parent,
            work_file := tmp_path / "work.duckdb",
            published,
            step,
            str(count),
        ],
        cwd=CHECKOUT,
        check=False,
    )

    assert killed.returncode == 9
    assert fingerprints(first) == untouched
    current = (published / "current").resolve()
    assert current.name == ("run-00002-2026-03-01" if step == "_prune" else first.name)
    assert (content(current) == seen) == (current == first)
    with closing(duckdb.connect(str(work_file))) as work:
        version = next_run(work, published, [LAST])
        assert bool(version.whole) == (step != "_prune")
        whole = publish.publish(work, tmp_path / "whole", version.folder.name)
    assert content(version.folder) == content(whole.folder)
    assert fingerprints(first) == untouched
    assert not list(published.glob("*.partial"))


def test_after_a_run_that_was_not_published_everything_is_copied(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    next_run(past, tmp_path)
    unpublished = publish.run_name(tmp_path, runs.known(past), DAY)
    past.execute(
        "insert into ops.runs by name (select * replace (? as run_id) from ops.runs)", [unpublished]
    )

    third = next_run(past, tmp_path, [])
    fourth = next_run(past, tmp_path, [])

    assert third.whole == "the version before is not that of the run before by the same code"
    assert fourth.whole == ""


def test_after_other_code_everything_is_copied(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    next_run(past, tmp_path)

    assert "by the same code" in next_run(past, tmp_path, [], code="new").whole
    assert next_run(past, tmp_path, [], code="new").whole == ""


def test_the_first_version_copies_everything(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert next_run(past, tmp_path, DAYS).whole


def cut(folder: Path) -> None:
    file = folder / "accountpulse.duckdb"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:20_000])


def overwrite(folder: Path) -> None:
    file = folder / "accountpulse.duckdb"
    file.chmod(0o644)
    file.write_text("no database")


def unlink(folder: Path) -> None:
    (folder / "accountpulse.duckdb").unlink()


def unlink_month(folder: Path) -> None:
    (folder / "parquet/marts/event_usage_daily/2026-03.parquet").unlink()


def break_month(folder: Path) -> None:
    file = folder / "parquet/marts/event_usage_daily/2026-03.parquet"
    file.unlink()
    file.write_text("no Parquet")


@pytest.mark.parametrize("damage", [cut, overwrite, unlink, unlink_month, break_month])
def test_on_a_damaged_version_nothing_is_built(
    past: duckdb.DuckDBPyConnection, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(next_run(past, tmp_path).folder)
    restate(past, LAST, 5)

    version = next_run(past, tmp_path, [LAST])

    assert version.whole
    whole = publish.publish(past, tmp_path / "whole", version.folder.name)
    assert content(version.folder) == content(whole.folder)
    assert next_run(past, tmp_path, []).whole == ""


def test_on_a_table_of_another_shape_nothing_is_built(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    next_run(past, tmp_path)
    past.execute("comment on column marts.event_usage_daily.n is 'How many.'")

    version = next_run(past, tmp_path, [])

    assert version.whole == '"marts"."event_usage_daily" is another table in the version before'
    comments = "select comment from duckdb_columns() where column_name = 'n'"
    assert read(version.folder / "accountpulse.duckdb", comments) == [("How many.",)]


def test_small_tables_may_come_go_and_change(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    next_run(past, tmp_path)
    past.execute("drop table reference.exclusions")
    past.execute("create table ops.unmapped_events as select 'x' as event_name")
    past.execute("alter table marts.accounts add column plan varchar default 'pro'")

    version = next_run(past, tmp_path, [])

    assert version.whole == ""
    whole = publish.publish(past, tmp_path / "whole", version.folder.name)
    assert content(version.folder) == content(whole.folder)


def test_a_day_that_changed_without_being_told_is_noticed_by_its_rows(
    past: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    next_run(past, tmp_path)
    restate(past, LAST, 5)
    restate(past, FIRST, 5)

    version = next_run(past, tmp_path, [LAST])

    assert version.whole == '"marts"."account_engagement_daily": 335 rows were copied of 337'
    whole = publish.publish(past, tmp_path / "whole", version.folder.name)
    assert content(version.folder) == content(whole.folder)


def test_a_file_that_holds_much_that_nothing_uses_is_written_anew(
    past: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "FREE_BLOCKS", 4)
    past.execute(
        "insert into marts.event_usage_daily"
        " select uuid()::varchar, uuid()::varchar, uuid()::varchar, 1, ? from range(40_000)",
        [LAST],
    )
    size = (next_run(past, tmp_path).folder / "accountpulse.duckdb").stat().st_size

    reasons = []
    for day in (FIRST, LAST, FIRST):
        version = next_run(past, tmp_path, [day])
        reasons.append(version.whole)
        assert (version.folder / "accountpulse.duckdb").stat().st_size < 1.6 * size

    assert reasons == ["", "the file has grown too far beyond what is in it", ""]


@pytest.mark.parametrize("content", ["", "2026-03-01", '{"as_of": 1}', "{"])
def test_a_mark_that_cannot_be_read_is_none(content: str, tmp_path: Path) -> None:
    mark = tmp_path / ".tested"
    assert tested.read(mark) is None
    mark.write_text(content)
    assert tested.read(mark) is None


def test_a_mark_is_complete_when_the_last_step_went_after_all_others(tmp_path: Path) -> None:
    mark, day = tmp_path / ".tested", date(2026, 3, 1)
    tested.begin(mark, tested.Built("2026-03-01", "dials", 7), ["flags"])
    tested.done(mark, day, tested.LAST)
    assert str(tested.read(mark)) == "2026-03-01 without dbt_after_signals, flags"
    tested.done(mark, day, "flags")
    tested.done(mark, day, tested.LAST)
    assert tested.read(mark) == tested.Built("2026-03-01", "dials", 7)
