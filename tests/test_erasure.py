"""Erasure: a person is gone from every file and stays out, and nobody else loses anything."""

import csv
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import (
    AS_OF,
    NEXT_DAY,
    accountpulse,
    current,
    different_tables,
    started,
)
from test_cli import (
    ask as published,
)

from orchestration import cli, erasure, execution, landing, publish, runs, tested
from orchestration.defs.resources import WAREHOUSE_TAG
from orchestration.errors import InputError, RunError
from orchestration.execution import STARTED_BY, dagster_instance, forget_failed_runs
from orchestration.landing import LandingResult
from orchestration.project import CHECKOUT, Settings
from orchestration.simulate import simulate

Row = dict[str, str]
MIDNIGHT = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
COLUMNS = {
    "tracks": "id event timestamp user_id anonymous_id context_group_id properties received_at",
    "identifies": "id timestamp user_id anonymous_id email",
    "groups": "id group_id timestamp user_id plan",
}


def write(raw: Path, name: str, rows: Iterable[Row]) -> Path:
    """Lays rows down as a CSV file of the landing folder."""
    path = raw / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = next(table for table in COLUMNS if name.startswith(table))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS[table].split())
        writer.writeheader()
        writer.writerows(rows)
    return path


TOLD = (
    "ops.runs",
    "ops.landed_files",
    "ops.data_quality",
    "ops.quarantined_events",
    "ops.restatements",
    "ops.dial_changes",
)
"""Tables of `ops` that keep what earlier runs said."""


def track(row_id: str, hour: int, user: str = "", device: str = "", **more: str) -> Row:
    """An event at an hour of 2026."""
    at = (MIDNIGHT + timedelta(hours=hour)).isoformat()
    told = {"event": "Video Viewed", "timestamp": at, "user_id": user, "anonymous_id": device}
    return {"id": row_id, **told, **more}


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """A warehouse that is not there yet, and its empty landing folder."""
    return at(tmp_path)


def at(folder: Path) -> Settings:
    (folder / "raw").mkdir(parents=True)
    return Settings.resolve(folder / "raw", folder / "warehouse", CHECKOUT / "seeds")


def land(place: Settings) -> LandingResult:
    with closing(place.connect()) as connection:
        return landing.load(connection, landing.inspect(place.raw, connection))


def ask(place: Settings, sql: str) -> list[tuple[Any, ...]]:
    with closing(place.read()) as connection:
        return connection.execute(sql).fetchall()


def ids(place: Settings, table: str = "tracks") -> list[str]:
    return [row_id for (row_id,) in ask(place, f"select id from raw.{table} order by id")]


def test_every_row_of_the_person_goes_and_the_ledger_tells(here: Settings) -> None:
    write(
        here.raw,
        "tracks",
        [
            track("1", 1, " ann\t", "phone"),
            track("2", 2, "", "phone"),
            track("3", 3, "bob", "laptop"),
            track("", 4, "ann"),
            track("5", 5, "", "laptop"),
            track("6", 6, "ann") | {"timestamp": "never"},
            track("7", 7, "", "phone") | {"timestamp": "never"},
            track("8", 8, "Ann"),
        ],
    )
    write(
        here.raw,
        "identifies",
        [
            {"id": "1", "timestamp": "2026-01-01", "user_id": "ann", "email": "ann@x.example"},
            {"id": "2", "timestamp": "2026-01-01", "anonymous_id": "phone", "email": "a@x.example"},
            {"id": "3", "timestamp": "2026-01-01", "user_id": "bob", "email": "bob@x.example"},
        ],
    )
    write(
        here.raw,
        "groups",
        [
            {"id": "1", "group_id": "acme", "timestamp": "2026-01-01", "user_id": "ann"},
            {"id": "2", "group_id": "acme", "timestamp": "2026-01-01", "user_id": "bob"},
        ],
    )
    land(here)

    done = erasure.erase(here, "user", "ann ")

    assert done.rows == {"tracks": 5, "identifies": 2, "groups": 1}
    assert (done.people, done.first_date) == (1, date(2026, 1, 1))
    assert ids(here) == ["3", "5", "8"]
    assert ids(here, "identifies") == ["3"]
    assert ids(here, "groups") == ["2"]
    counted = "select table_name, row_count, suppressed_count from ops.landed_files order by all"
    assert ask(here, counted) == [("groups", 1, 1), ("identifies", 1, 2), ("tracks", 3, 5)]
    assert sorted(path.name for path in erasure.landing_files(here, done)) == [
        "groups.csv",
        "identifies.csv",
        "tracks.csv",
    ]


def test_the_list_holds_hashes_with_a_salt_of_the_warehouse_and_is_never_published(
    tmp_path: Path,
) -> None:
    kept = []
    for name in ("one", "two"):
        place = at(tmp_path / name)
        write(place.raw, "tracks", [track("1", 1, "ann", "phone"), track("2", 2, "bob")])
        land(place)
        erasure.erase(place, "user", "ann")
        kept += ask(
            place, "select id_hash from erasure.ids union all select salt from erasure.salt"
        )
        kept += ask(place, "select id_hash from erasure.devices")
    assert len(set(kept)) == 6
    assert {len(text) for (text,) in kept} == {64}
    from orchestration.publish import SCHEMAS  # noqa: PLC0415 - told where it matters

    assert "erasure" not in SCHEMAS


def test_rows_that_come_again_or_late_stay_out_and_those_of_others_come_in(
    here: Settings,
) -> None:
    first = [track("1", 1, "ann", "phone"), track("2", 5, "", "phone"), track("3", 3, "bob")]
    write(here.raw, "tracks_1", first)
    land(here)
    erasure.erase(here, "user", "ann")

    late = [track("4", 0, "", "phone"), track("5", 9, "ann", "tablet"), track("6", 2, "", "tablet")]
    write(here.raw, "tracks_2", [*first, *late, track("7", 9, "", "elsewhere")])
    landed = land(here).tables["tracks"]

    assert (landed.rows, landed.suppressed) == (2, 5)
    assert ids(here) == ["3", "3", "7"]
    counted = "select row_count, suppressed_count from ops.landed_files order by load_id"
    assert ask(here, counted) == [(1, 2), (2, 5)]

    # The device that a row told in passing is known from then on.
    write(here.raw, "tracks_3", [track("8", 20, "", "tablet")])
    assert land(here).tables["tracks"].suppressed == 1


def test_on_a_shared_device_only_the_stretches_of_the_erased_stay_out(here: Settings) -> None:
    rows = [
        track("1", 1, "", "till"),
        track("2", 2, "ann", "till"),
        track("3", 3, "", "till"),
        track("4", 4, "bob", "till"),
        track("5", 5, "", "till"),
        track("6", 6, "ann", "till"),
        track("7", 7, "", "till"),
        track("8", 8, "", "till") | {"timestamp": "never"},
    ]
    write(here.raw, "tracks", rows)
    land(here)
    erasure.erase(here, "user", "ann")
    assert ids(here) == ["4", "5", "8"]

    # Carol takes the till over: from then on it is hers, also of rows that come before her own.
    write(here.raw, "tracks_more", [track("c0", 11, "", "till"), track("c1", 10, "carol", "till")])
    write(here.raw, "tracks_then", [track("a0", 9, "", "till"), track("b0", 5, "", "till")])
    land(here)
    assert ids(here) == ["4", "5", "8", "b0", "c0", "c1"]


def test_rows_of_the_person_go_however_long_ago_or_far_off_they_are_dated(here: Settings) -> None:
    times = {"1": "0001-01-01", "2": "1850-06-01 12:00", "3": "9999-12-31 23:59:59.5"}
    rows = [track(row_id, 1, "", "phone") | {"timestamp": at} for row_id, at in times.items()]
    write(here.raw, "tracks", [*rows, track("4", 1, "ann", "phone"), track("5", 2, "bob")])
    land(here)

    erasure.erase(here, "user", "ann")

    assert ids(here) == ["5"]


rows_drawn = st.lists(
    st.tuples(st.sampled_from(["", "ann", "bob", "eve"]), st.sampled_from("xy"), st.integers(0, 8)),
    max_size=14,
)


def owner(rows: Sequence[tuple[str, str, int]], device: str, hour: int) -> str | None:
    """The contract: latest identification at or before, else the first after; smallest user id."""
    told = [(at, user) for user, used, at in rows if user and used == device]
    before = [at for at, _ in told if at <= hour]
    instant = max(before) if before else min((at for at, _ in told), default=None)
    return min((user for at, user in told if at == instant), default=None)


@settings(max_examples=30, deadline=None)
@given(drawn=rows_drawn)
def test_exactly_the_rows_that_stitching_gives_the_person_go_and_come_back_never(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str, int]]
) -> None:
    place = at(tmp_path_factory.mktemp("drawn"))
    drawn = [*drawn, ("ann", "z", 1), ("bob", "z", 2)]
    rows = [track(f"{i:02}", hour, user, used) for i, (user, used, hour) in enumerate(drawn)]
    write(place.raw, "tracks", rows)
    land(place)
    left = [
        row["id"]
        for row, (user, used, hour) in zip(rows, drawn, strict=True)
        if (user or owner(drawn, used, hour)) != "ann"
    ]

    erasure.erase(place, "user", "ann")
    assert ids(place) == left
    write(place.raw, "tracks_again", rows)
    land(place)
    assert ids(place) == sorted([*left, *left])


def test_an_account_goes_with_those_who_belong_to_no_other(here: Settings) -> None:
    write(
        here.raw,
        "tracks",
        [
            track("1", 1, "ann", context_group_id="acme"),
            track("2", 2, "bob", context_group_id="acme"),
            track("3", 3, "bob", context_group_id="beta"),
            track("4", 4, "ann", "phone"),
            track("5", 5, "", "phone"),
            track("6", 6, "", context_group_id=" acme"),
        ],
    )
    write(
        here.raw,
        "identifies",
        [{"id": name, "timestamp": "2026-01-01", "user_id": name} for name in ("ann", "bob")],
    )
    write(
        here.raw,
        "groups",
        [
            {"id": "1", "group_id": "acme", "timestamp": "2026-01-01", "plan": "pro"},
            {"id": "2", "group_id": "beta", "timestamp": "2026-01-01", "plan": "pro"},
        ],
    )
    land(here)

    done = erasure.erase(here, "account", "acme")

    assert done.people == 1
    assert ids(here) == ["3"]
    assert ids(here, "identifies") == ["bob"]
    assert ids(here, "groups") == ["2"]
    write(here.raw, "tracks_late", [track("7", 1, "ann"), track("8", 9, context_group_id="acme")])
    assert land(here).tables["tracks"].rows == 0


@pytest.mark.parametrize("entity", ["user", "account"])
def test_who_is_unknown_is_told_and_nothing_is_changed(here: Settings, entity: str) -> None:
    with pytest.raises(InputError, match="there is no such file, so nobody to erase"):
        erasure.erase(here, entity, "nobody")
    write(here.raw, "tracks", [track("1", 1, "ann", context_group_id="acme")])
    land(here)
    before = here.work_db.stat().st_ino

    with pytest.raises(InputError) as caught:
        erasure.erase(here, entity, "nobody")

    (line,) = caught.value.problems
    assert line == f"no row of {here.work_db} has this {entity} id; nothing was changed"
    assert here.work_db.stat().st_ino == before
    assert ids(here) == ["1"]
    assert ask(here, "select count(*) from duckdb_tables() where schema_name = 'erasure'") == [(0,)]


def test_an_id_is_data_never_sql(here: Settings) -> None:
    name = "x'); drop table raw.tracks; --\" $name {id} %s"
    write(here.raw, "tracks", [track("1", 1, name, name), track("2", 2, "", name), track("3", 3)])
    land(here)

    erasure.erase(here, "user", name)

    assert ids(here) == ["3"]
    write(here.raw, "tracks_more", [track("1", 1, name, name), track("2", 2, "", name)])
    assert land(here).tables["tracks"].suppressed == 2


def test_rows_of_others_that_name_the_person_stay_and_are_told(here: Settings) -> None:
    write(
        here.raw,
        "tracks",
        [
            track("1", 1, "ann"),
            track("2", 2, "bob", properties='{"invited": "ann"}'),
            track("3", 3, "bob", properties='{"invited": "anna"}'),
            track("4", 4, "bob", properties='{"mail": "ann@x.example"}'),
        ],
    )
    write(
        here.raw,
        "identifies",
        [
            {"id": "1", "timestamp": "2026-01-01", "user_id": "ann", "email": "ann@x.example"},
            {"id": "2", "timestamp": "2026-01-01", "user_id": "twin", "email": "ann@x.example"},
        ],
    )
    land(here)

    done = erasure.erase(here, "user", "ann")

    assert done.mentions == {"tracks": 2, "identifies": 1, "groups": 0}
    assert ids(here) == ["2", "3", "4"]


def test_a_landing_file_may_lose_the_erased_and_nothing_else(here: Settings) -> None:
    rows = [track("1", 1, "ann", "phone"), track("2", 2, "", "phone"), track("3", 3, "bob")]
    path = write(here.raw, "tracks", rows)
    groups = here.raw / "groups.csv"
    groups.write_text(group := "id,group_id,timestamp\ng,acme,2026-01-01\n")
    land(here)
    write(here.raw, "tracks", rows[1:])
    with pytest.raises(InputError, match="has changed since it was loaded"):
        land(here)
    write(here.raw, "tracks", rows)
    erasure.erase(here, "user", "ann")
    assert erasure.landing_files(here, erasure.erase(here, "user", "ann")) == [path]

    for wrong in (rows[:2], [rows[2] | {"event": "Other"}], [rows[2], track("4", 4, "bob")]):
        write(here.raw, "tracks", wrong)
        with pytest.raises(InputError, match="only rows of the erased may be taken out of it"):
            land(here)
    write(here.raw, "tracks", rows)
    groups.write_text("id,group_id,timestamp,industry\ng,acme,2026-01-01,media\n")
    with pytest.raises(InputError, match="only rows of the erased may be taken out of it"):
        land(here)
    groups.write_text(group)
    for right, left in ((rows[1:], 1), (rows[2:], 0)):
        write(here.raw, "tracks", right)
        assert land(here).tables["tracks"].rows == 0
        assert ids(here) == ["3"]
        told = (
            "select row_count, suppressed_count from ops.landed_files where table_name = 'tracks'"
        )
        assert ask(here, told) == [(1, left)]
    assert erasure.landing_files(here, erasure.erase(here, "user", "ann")) == []
    path.unlink()
    write(here.raw, "tracks_new", [track("9", 9, "bob")])
    land(here)
    assert ids(here) == ["3", "9"]


def test_a_killed_erasure_leaves_the_person_wholly_there_and_can_be_run_again(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here.raw, "tracks", [track("1", 1, "ann"), track("2", 2, "bob")])
    land(here)
    kill = (
        "import os, signal, sys; from pathlib import Path; from orchestration import erasure\n"
        "from orchestration.project import Settings\n"
        "erasure._replace = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "erasure.erase(Settings.resolve(sys.argv[1], sys.argv[2]), 'user', 'ann')"
    )
    killed = subprocess.run(
        [sys.executable, "-c", kill, here.raw, here.warehouse], cwd=CHECKOUT, check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert (here.warehouse / "work.duckdb.erasing").exists()
    assert ids(here) == ["1", "2"]
    erasure.erase(here, "user", "ann")
    assert ids(here) == ["2"]
    assert [path.name for path in here.warehouse.iterdir()] == ["work.duckdb"]

    tested.begin(here.tested_mark, tested.Built("2026-01-01", "dials", 1), [])
    write(here.raw, "tracks_more", [track("3", 3, "eve")])
    land(here)
    erasure.erase(here, "user", "eve")  # killed after this, nothing can go on from the marts
    assert not here.tested_mark.exists()

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(erasure, "flush", full)
    with pytest.raises(OSError, match="No space left"):
        erasure.erase(here, "user", "bob")
    assert ids(here) == ["2"]
    assert [path.name for path in here.warehouse.iterdir()] == ["work.duckdb"]


def test_what_would_keep_a_run_from_following_is_told_before_anything_is_changed(
    here: Settings,
) -> None:
    write(here.raw, "tracks", [track("1", 1, "ann"), track("2", 2, "bob")])
    land(here)
    before = here.work_db.stat().st_ino
    (here.raw / "groups.csv").write_text("id,timestamp\n")
    with pytest.raises(InputError, match="the required column group_id is missing"):
        erasure.erase(here, "user", "ann")
    (here.raw / "groups.csv").unlink()
    (here.published).mkdir()
    (here.published / "current").symlink_to("run-00001-2026-01-01")
    write(here.raw, "tracks", [track("1", 1, "ann")])
    with pytest.raises(InputError, match="has changed"):
        erasure.erase(here, "user", "ann")

    alone = at(here.warehouse / "alone")
    write(alone.raw, "tracks", [track("1", 1, "ann"), track("2", 48, "bob")])
    land(alone)
    alone.published.mkdir()
    (alone.published / "current").symlink_to("run-00001-2026-01-01")
    with pytest.raises(InputError, match="holds rows of nobody else; delete this folder"):
        erasure.erase(alone, "user", "ann")
    assert ids(alone) == ["1", "2"]
    assert here.work_db.stat().st_ino == before
    assert ids(here) == ["1", "2"]


def test_tables_that_were_written_by_hand_are_rebuilt_as_they_were(here: Settings) -> None:
    with closing(here.connect()) as connection:
        connection.execute(
            "create schema RAW; create schema ops; create schema marts;"
            "create table raw.tracks (ID varchar primary key, Event varchar not null,"
            ' "timestamp" varchar, USER_ID integer);'
            "insert into raw.tracks values ('1', 'A', '2026-01-01', 7), ('2', 'A', null, 8);"
            "create table raw.pages (url varchar); insert into raw.pages values ('/');"
            "create table ops.quarantined_events (user_id varchar); "
            "insert into ops.quarantined_events values ('7'); create table marts.users (a integer)"
        )
        runs.known(connection)
        connection.execute(
            "insert into ops.runs by name select 'run-00003-2026-01-01' as run_id,"
            " '' as dial_fingerprint, '' as code_fingerprint, 'UTC' as reporting_timezone,"
            " date '2026-01-01' as as_of_date"
        )

    erasure.erase(here, "user", "7")

    assert ask(here, "from raw.tracks") == [("2", "A", None, 8)]
    assert ask(here, "from raw.pages") == [("/",)]
    assert ask(here, "select run_id from ops.runs") == [("run-00003-2026-01-01",)]
    assert ask(here, "select first_run from erasure.ids") == [(4,)]
    tables = "select table_name from duckdb_tables() where schema_name in ('ops', 'marts')"
    assert ask(here, tables) == [("runs",)]
    with (
        closing(here.connect()) as connection,
        pytest.raises(duckdb.ConstraintException),
    ):
        connection.execute("insert into raw.tracks values ('2', 'A', null, 9)")

    with closing(here.connect()) as connection:
        connection.execute(
            "alter table raw.tracks rename to t; create view raw.tracks as from raw.t"
        )
    with pytest.raises(InputError, match=r"raw.tracks is a view: erase where its rows come from"):
        erasure.erase(here, "user", "8")


# The proof by bytes.


def holders(folder: Path, needles: Sequence[str]) -> set[str]:
    """Files below a folder in which the bytes of one of the needles stand."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(needle.encode() in path.read_bytes() for needle in needles)
    }


def tellers(folder: Path, needles: Sequence[str]) -> set[str]:
    """Text columns below a folder that hold a needle: bytes may be compressed, queries see all."""
    found = set()
    for path in folder.rglob("*"):
        if path.suffix not in {".duckdb", ".parquet"} or path.is_symlink():
            continue
        with duckdb.connect() as connection:
            if path.suffix == ".duckdb":
                connection.execute(f"attach '{path}' as looked_at (read_only)")
            else:
                connection.execute("attach ':memory:' as looked_at")
                connection.execute(f"create table looked_at.rows as from '{path}'")
            columns = connection.execute(
                "select schema_name, table_name, column_name from duckdb_columns()"
                " where database_name = 'looked_at' and data_type like '%VARCHAR%'"
                " and (schema_name, table_name) in"
                " (select (schema_name, table_name) from duckdb_tables())"
            ).fetchall()
            for schema, table, column in columns:
                if connection.execute(
                    f'select 1 from looked_at."{schema}"."{table}", (select unnest(?) as needle)'
                    f' where contains("{column}"::varchar, needle) limit 1',
                    [list(needles)],
                ).fetchall():
                    found.add(f"{path.relative_to(folder)}: {schema}.{table}.{column}")
    return found


def test_a_delete_would_leave_the_bytes_in_the_file_and_the_rebuilt_file_has_none(
    here: Settings,
) -> None:
    """Uncompressed, so that the bytes can be looked for: the control of the search itself."""
    person, mail = f"person-{secrets.token_hex(8)}", f"{secrets.token_hex(8)}@x.example"
    rows = [track(str(i), i % 700, person if i % 50 == 0 else f"other-{i}") for i in range(5_000)]
    with closing(here.connect()) as connection:
        connection.execute("pragma force_compression = 'uncompressed'")
        write(here.raw, "tracks", rows)
        write(
            here.raw,
            "identifies",
            [{"id": "1", "timestamp": "2026-01-01", "user_id": person, "email": mail}],
        )
        landing.load(connection, landing.inspect(here.raw, connection))
    assert holders(here.warehouse, [person]) == {"work.duckdb"}
    assert holders(here.warehouse, [mail]) == {"work.duckdb"}

    deleted = shutil.copytree(here.warehouse, here.warehouse.with_name("deleted"))
    with duckdb.connect(str(deleted / "work.duckdb")) as connection:
        connection.execute("delete from raw.tracks where user_id = ?", [person])
        connection.execute("delete from raw.identifies where user_id = ?", [person])
        connection.execute("checkpoint")
    assert holders(deleted, [person, mail]) == {"work.duckdb"}

    erasure.erase(here, "user", person)

    assert holders(here.warehouse, [person, mail]) == set()
    assert tellers(here.warehouse, [person, mail]) == set()
    assert len(ids(here)) == 4_900


def test_what_dagster_keeps_of_failed_runs_is_forgotten(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = f"person-{secrets.token_hex(8)}"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "shared"))
    ours = {WAREHOUSE_TAG: str(here.warehouse)}
    with dagster_instance(here) as instance:
        for run_id, tags in (
            ("11111111", ours),
            ("22222222", ours),
            ("33333333", {WAREHOUSE_TAG: "/somewhere/else"}),
            ("55555555", {}),
        ):
            instance.add_run(
                dg.DagsterRun(job_name="daily_refresh", run_id=run_id, tags=tags)  # type: ignore[attr-defined]
            )
        dead = STARTED_BY | ours
        status = dg.DagsterRunStatus.STARTED
        instance.add_run(
            dg.DagsterRun(job_name="daily_refresh", run_id="44444444", status=status, tags=dead)  # type: ignore[attr-defined]
        )
        for run_id in ("33333333", "55555555"):
            other = instance.get_run_by_id(run_id)
            assert other
            instance.report_run_failed(other, "on another warehouse, of another project")
        run = instance.get_run_by_id("11111111")
        assert run
        for i in range(200):
            instance.report_engine_event(f'Duplicate key "user_id: {person}-{i}"', run)
        instance.report_run_failed(run, f"constraint broken by {person}")
    assert holders(here.dagster_home, [person])
    (here.dagster_home / "theirs.db").write_text("of another project")

    forget_failed_runs(here)

    assert holders(here.dagster_home, [person]) == set()
    with dagster_instance(here) as instance:
        kept = {run.run_id for run in instance.get_runs()}
    assert kept == {"22222222", "33333333", "55555555"}


def test_failed_runs_are_forgotten_also_where_the_publication_fails(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever run publishes later would not forget them."""
    write(here.raw, "tracks", [track("1", 1, "ann"), track("2", 2, "bob")])
    land(here)
    done = []

    def fail(*_: object) -> None:
        done.append("publication")
        raise RunError("check failed")

    monkeypatch.setattr(execution, "forget_failed_runs", lambda _: done.append("forgotten"))
    monkeypatch.setattr(publish, "newest_day", lambda _: date(2026, 1, 1))
    monkeypatch.setattr(erasure, "is_finished", lambda _: False)
    monkeypatch.setattr(cli, "_publish_without", fail)
    places = ["--raw", str(here.raw), "--warehouse", str(here.warehouse)]
    told = "check failed\nerased from work.duckdb; the versions published before go as soon as"
    with pytest.raises(RunError, match=told):
        cli.cli(["erase", *places, "--user", "ann"], standalone_mode=False)
    assert done == ["forgotten", "publication"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (sqlite3.DatabaseError("file is not a database"), "Dagster's records are damaged"),
        (KeyboardInterrupt(), "stopped"),
        (FileExistsError(17, "File exists", "/a/home"), "/a/home: File exists"),
    ],
)
def test_what_is_left_is_told_also_where_failed_runs_cannot_be_forgotten(
    wrong: BaseException, told: str, here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here.raw, "tracks", [track("1", 1, "ann"), track("2", 2, "bob")])
    land(here)

    def fail(_: Settings) -> None:
        raise wrong

    monkeypatch.setattr(execution, "forget_failed_runs", fail)
    places = ["--raw", str(here.raw), "--warehouse", str(here.warehouse)]
    with pytest.raises(RunError, match=rf"{told}(.|\n)*\nerased from work.duckdb"):
        cli.cli(["erase", *places, "--user", "ann"], standalone_mode=False)
    assert ids(here) == ["2"]


def test_a_dial_that_names_the_person_is_told(here: Settings, tmp_path: Path) -> None:
    seeds = shutil.copytree(CHECKOUT / "seeds", tmp_path / "seeds")
    with (seeds / "exclusions.csv").open("a") as dial:
        dial.write("user,user_id,ann,left\nuser,email,Ann@x.example,left\n")
    lines = len((seeds / "exclusions.csv").read_text().splitlines())
    place = Settings.resolve(here.raw, here.warehouse, seeds)

    last = [f"{seeds}/exclusions.csv:{number}" for number in (lines - 1, lines)]
    assert erasure.dial_lines(place, ["ann ", "ann@x.example"]) == last
    assert erasure.dial_lines(place, ["bob"]) == []


def person_files(raw: Path, person: str, mail: str, device: str) -> list[Path]:
    """Raw rows of somebody who joins an account, is active for weeks, and was anonymous before."""
    ((account,),) = duckdb.sql(f"select mode(group_id) from '{raw}/groups.parquet'").fetchall()
    days = [date.fromisoformat(AS_OF) - timedelta(days=n) for n in range(40)]
    events = [
        {
            "id": f"p-{day}-{n}",
            "event": event,
            "timestamp": f"{day}T0{n}:30:00Z",
            "user_id": person if n else "",
            "anonymous_id": device,
        }
        for day in days
        for n, event in enumerate(["Video Viewed", "Comment Added", "Video Uploaded", "Unheard Of"])
    ]
    broken = [{"id": "", "event": "x", "timestamp": f"{AS_OF}T00:00:00Z", "user_id": person}]
    joined = f"{days[-1]}T00:00:00Z"
    told = {"id": "p-i", "timestamp": joined, "user_id": person, "anonymous_id": device}
    return [
        write(raw, "tracks_person", [*events, *broken]),
        write(raw, "identifies_person", [told | {"email": mail}]),
        write(
            raw,
            "groups_person",
            [{"id": "p-g", "group_id": account, "timestamp": joined, "user_id": person}],
        ),
    ]


def test_a_person_is_erased_from_every_file_of_the_warehouse_and_nobody_else_is_touched(
    tmp_path: Path,
) -> None:
    """Two published versions, a killed erasure, the erasure, a delivery that comes again."""
    raw, others, warehouse = tmp_path / "raw", tmp_path / "others", tmp_path / "warehouse"
    person, device = f"person-{secrets.token_hex(8)}", f"device-{secrets.token_hex(8)}"
    mail = f"{secrets.token_hex(8)}@mail.example"
    needles = [person, device, mail]
    simulate(raw, accounts=30, days=60, events=8_000, until=date.fromisoformat(AS_OF))
    shutil.copytree(raw, others)
    files = person_files(raw, person, mail, device)
    places = ("--raw", raw, "--warehouse", warehouse)
    for day, named in ((AS_OF, person), (NEXT_DAY, device)):
        seeds = dials_that_name(named, tmp_path / day)
        done = accountpulse("run", *places, "--as-of", day, ACCOUNTPULSE_SEEDS=seeds)
        assert done.returncode == 0, done.stderr
    before = current(warehouse)
    telling = tellers(warehouse, needles)
    for told in (
        "work.duckdb: raw.tracks.user_id",
        "work.duckdb: ops.quarantined_events.user_id",
        "work.duckdb: ops.dial_changes.row_before",
        *(
            f"published/run-{run}/{file}"
            for run in (f"00001-{AS_OF}", f"00002-{NEXT_DAY}")
            for file in (
                "accountpulse.duckdb: marts.users.email",
                "accountpulse.duckdb: marts.user_engagement_daily.user_id",
                "accountpulse.duckdb: ops.quarantined_events.user_id",
                "parquet/marts/users.parquet: main.rows.email",
            )
        ),
    ):
        assert told in telling

    for wrong in (["--user", "nobody"], [], ["--user", person, "--account", "a"], ["--user", " "]):
        refused = accountpulse("erase", *places, *wrong)
        assert refused.returncode == 2
        assert len(refused.stderr.splitlines()) == 1
        assert person not in refused.stderr
    assert tellers(warehouse, needles) == telling

    with started("erase", *places, "--user", person) as process:
        process.kill()
    assert current(warehouse) == before
    assert published(warehouse, f"select count(*) from marts.users where user_id = '{person}'") == [
        (1,)
    ]

    done = accountpulse("erase", *places, "--user", f" {person} ")

    assert done.returncode == 0, done.stderr
    assert not any(needle in done.stdout + done.stderr for needle in needles)
    for file in files:
        assert f"{file}: still holds them" in done.stdout
    assert {p.name for p in (warehouse / "published").iterdir()} == {"current", current(warehouse)}
    assert current(warehouse) == f"run-00003-{NEXT_DAY}"
    assert tellers(warehouse, needles) == set()
    assert holders(warehouse, needles) == set()

    control = tmp_path / "control"
    done = accountpulse("run", "--raw", others, "--warehouse", control, "--as-of", NEXT_DAY)
    assert done.returncode == 0, done.stderr
    check_others_are_as_if_alone(warehouse, control)

    shutil.copyfile(files[0], raw / "tracks_again.csv")
    done = accountpulse("run", *places, "--as-of", NEXT_DAY, "--full-refresh")

    assert done.returncode == 0, done.stderr
    assert "rows of erased people, in the files loaded so far" in done.stdout
    assert tellers(warehouse, needles) == set()
    assert holders(warehouse, needles) == set()
    assert different_tables(warehouse, control, *TOLD) == []


def dials_that_name(somebody: str, folder: Path) -> str:
    """Dials with an exclusion that meets nobody, as it is no address."""
    shutil.copytree(CHECKOUT / "seeds", folder)
    with (folder / "exclusions.csv").open("a") as dial:
        dial.write(f"user,email,{somebody},no such address\n")
    return str(folder)


def check_others_are_as_if_alone(warehouse: Path, control: Path) -> None:
    """What is published is what it is without the person, and nothing says of whom."""
    assert different_tables(warehouse, control, *TOLD) == []
    deleted = f"run-00003-{NEXT_DAY}", "user", "deleted", None, None
    changes = "select run_id, dial_key, change, row_before, row_after from ops.dial_changes"
    assert deleted in published(warehouse, changes)
    restated = "select count(*) > 0 from ops.restatements where run_id = 'run-00003-{}'"
    assert published(warehouse, restated.format(NEXT_DAY)) == [(True,)]
    counted = f"select * from ops.data_quality where as_of_date = '{NEXT_DAY}'"
    assert published(warehouse, counted) == published(control, counted)
    set_aside = "select * exclude (load_id) from ops.quarantined_events order by all"
    assert published(warehouse, set_aside) == published(control, set_aside)
