"""Landing: every format gives the same rows, each file counts once, and nothing is half done."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import landing
from orchestration.errors import InputError, RunError
from orchestration.landing import LandingResult, inspect, load

OULAD = Path(__file__).parents[2] / "shared" / "data" / "oulad"

TRACK: dict[str, object] = {
    "id": "e1",
    "event": "Video Uploaded",
    "timestamp": "2026-03-01T10:00:00Z",
}
TRACKS_CSV = "id,event,timestamp\ne1,Video Uploaded,2026-03-01T10:00:00Z\n"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(tmp_path / "work.duckdb")) as connection:
        yield connection


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def land(raw: Path | None, warehouse: duckdb.DuckDBPyConnection) -> LandingResult:
    return load(warehouse, inspect(raw, warehouse))


def counts(result: LandingResult) -> dict[str, tuple[int, int]]:
    return {table: (done.files, done.rows) for table, done in result.tables.items()}


def problems(raw: Path | None, warehouse: duckdb.DuckDBPyConnection) -> list[str]:
    with pytest.raises(InputError) as caught:
        inspect(raw, warehouse)
    assert schemas(warehouse) <= {"main", "raw"}
    return [line.replace(f"{raw}/", "") for line in caught.value.problems]


def schemas(warehouse: duckdb.DuckDBPyConnection) -> set[str]:
    rows = warehouse.execute(
        "select schema_name from information_schema.schemata "
        "where catalog_name = current_database() and schema_name not like 'pg%' "
        "and schema_name <> 'information_schema'"
    ).fetchall()
    return {name for (name,) in rows}


def rows(
    warehouse: duckdb.DuckDBPyConnection, columns: str, table: str = "tracks"
) -> list[tuple[Any, ...]]:
    return warehouse.execute(f"select {columns} from raw.{table} order by id").fetchall()


def write_csv(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def write_parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table({name: pa.array(v) for name, v in columns.items()}), path)
    return path


def write_ndjson(path: Path, *objects: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(o) + "\n" for o in objects))
    return path


# One set of rows, in every format.

GROUPS: list[dict[str, Any]] = [
    {
        "id": "g1",
        "group_id": "acme",
        "user_id": "u1",
        "timestamp": "2026-03-01T12:00:00+02:00",
        "name": ' Acme, "Ltd" ',
        "canceled_at": None,
        "seats": "25",
        "industry": "media",
    },
    {
        "id": "g2",
        "group_id": "beta",
        "user_id": None,
        "timestamp": "2026-03-02 08:30:00.5",
        "name": "Beta\nStudios",
        "canceled_at": "2026-03-01",
        "seats": None,
        "industry": None,
    },
]
GROUPS_LANDED = [
    ("g1", "acme", "u1", at("2026-03-01T10:00:00"), ' Acme, "Ltd" ', None, 25, "media", None),
    (
        "g2",
        "beta",
        None,
        at("2026-03-02T08:30:00.500000"),
        "Beta\nStudios",
        at("2026-03-01"),
        None,
        None,
        None,
    ),
]


def groups_csv() -> bytes:
    def cell(value: str | None) -> str:
        quoted = (value or "").replace('"', '""')
        return f'"{quoted}"' if value else ""

    lines = [",".join(GROUPS[0]), *(",".join(cell(v) for v in g.values()) for g in GROUPS)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def groups_ndjson() -> bytes:
    present = [{k: v for k, v in group.items() if v is not None} for group in GROUPS]
    present[0]["seats"] = 25
    return b"\n".join(json.dumps(group).encode() for group in present)


def groups_parquet(folder: Path) -> bytes:
    """Typed: zoned microseconds, dates, and numbers as floats because one is missing."""
    offset = timezone(timedelta(hours=2))
    path = folder / "typed.parquet"
    pq.write_table(
        pa.table(
            {
                "id": ["g1", "g2"],
                "group_id": pa.array(["acme", "beta"]).dictionary_encode(),
                "user_id": ["u1", None],
                "timestamp": pa.array(
                    [
                        datetime(2026, 3, 1, 12, tzinfo=offset),
                        datetime(2026, 3, 2, 8, 30, 0, 500000, tzinfo=UTC),
                    ],
                    pa.timestamp("us", "Europe/Berlin"),
                ),
                "name": pa.array([g["name"].encode() for g in GROUPS], pa.binary()),
                "canceled_at": pa.array([None, date(2026, 3, 1)]),
                "seats": pa.array([25.0, None]),
                "industry": ["media", None],
            }
        ),
        path,
    )
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("groups.csv", groups_csv),
        ("groups.csv.gz", lambda: gzip.compress(groups_csv())),
        ("groups_bom.CSV", lambda: b"\xef\xbb\xbf" + groups_csv()),
        ("groups/2026/03/part-1.csv", groups_csv),
        ("groups-1.ndjson", groups_ndjson),
        ("groups.jsonl", groups_ndjson),
        ("groups.ndjson.gz", lambda: gzip.compress(groups_ndjson())),
        ("groups/industry=print/part.jsonl.gz", lambda: gzip.compress(groups_ndjson())),
        ("groups.parquet", groups_parquet),
        ("groups.parquet/industry=print/part-0.parquet", groups_parquet),
        ("groups o'clock [1]?*.csv", groups_csv),
    ],
)
def test_every_format_gives_the_same_rows(
    raw: Path,
    tmp_path: Path,
    warehouse: duckdb.DuckDBPyConnection,
    name: str,
    content: Callable[..., bytes],
) -> None:
    write_csv(raw / "tracks.csv", "id,event,timestamp")
    path = raw / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(tmp_path) if content is groups_parquet else content())

    assert counts(land(raw, warehouse)) == {
        "tracks": (1, 0),
        "identifies": (0, 0),
        "groups": (1, 2),
    }

    assert (
        rows(
            warehouse,
            "id, group_id, user_id, timestamp, name, canceled_at, seats, industry, _unparsed",
            "groups",
        )
        == GROUPS_LANDED
    )


def test_tables_have_the_layout_also_where_no_file_came(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    write_csv(raw / "tracks.csv", "id,event,timestamp,context_page_url")
    write_csv(raw / "identifies.csv", " ID ,Timestamp,Team Size,,_load_id", "i1,2026-03-01,7,x,9")

    plan = inspect(raw, warehouse)
    load(warehouse, plan)

    def described(table: str) -> dict[str, str]:
        return dict(
            warehouse.execute(
                "select column_name, data_type from information_schema.columns "
                "where table_schema = 'raw' and table_name = $1 order by ordinal_position",
                [table],
            ).fetchall()
        )

    assert described("tracks") == {
        "id": "VARCHAR",
        "event": "VARCHAR",
        "user_id": "VARCHAR",
        "anonymous_id": "VARCHAR",
        "context_group_id": "VARCHAR",
        "timestamp": "TIMESTAMP",
        "received_at": "TIMESTAMP",
        "properties": "VARCHAR",
        "_unparsed": "VARCHAR",
        "_load_id": "BIGINT",
    }
    assert described("identifies") == {
        "id": "VARCHAR",
        "user_id": "VARCHAR",
        "anonymous_id": "VARCHAR",
        "timestamp": "TIMESTAMP",
        "received_at": "TIMESTAMP",
        "email": "VARCHAR",
        "name": "VARCHAR",
        "role": "VARCHAR",
        "created_at": "TIMESTAMP",
        "_unparsed": "VARCHAR",
        "_load_id": "BIGINT",
        "team size": "VARCHAR",
    }
    groups = described("groups")
    assert list(groups) == [
        *("id", "group_id", "user_id", "timestamp", "received_at", "name", "plan", "status"),
        *("created_at", "trial_ends_at", "contract_started_at", "contract_ends_at"),
        *("canceled_at", "seats", "mrr", "_unparsed", "_load_id"),
    ]
    assert (groups["seats"], groups["mrr"], groups["canceled_at"]) == (
        "BIGINT",
        "BIGINT",
        "TIMESTAMP",
    )
    assert rows(warehouse, '"team size", received_at', "identifies") == [("7", None)]
    assert "team size" in plan.columns("identifies")
    assert "context_page_url" not in plan.columns("tracks")
    assert "canceled_at" in plan.columns("groups")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-01T10:00:00Z", at("2026-03-01T10:00:00")),
        (" 2026-03-01T10:00:00z\t", at("2026-03-01T10:00:00")),
        ("2026-03-01T10:00:00.123456789Z", at("2026-03-01T10:00:00.123456")),
        ("2026-03-01 10:00:00", at("2026-03-01T10:00:00")),
        ("2026-03-01", at("2026-03-01")),
        ("2026-03-01 10:00:00+02", at("2026-03-01T08:00:00")),
        ("2026-03-01T10:00:00-05:30", at("2026-03-01T15:30:00")),
        ("2026-03-01T10:00:00+0200", at("2026-03-01T08:00:00")),
        ("2026-03-01 10:00:00.000 -0800", at("2026-03-01T18:00:00")),
        ("2026-03-01 10:00:00 UTC", at("2026-03-01T10:00:00")),
        ("2026-03-29 02:30:00 Europe/Berlin", at("2026-03-29T01:30:00")),
    ],
)
def test_a_time_with_an_offset_is_that_instant_and_without_one_utc(
    raw: Path, warehouse: duckdb.DuckDBPyConnection, text: str, instant: datetime
) -> None:
    write_ndjson(raw / "tracks.ndjson", TRACK | {"timestamp": text})
    warehouse.execute("set TimeZone = 'America/New_York'")

    land(raw, warehouse)

    assert rows(warehouse, "timestamp, _unparsed") == [(instant, None)]


def test_what_cannot_be_read_is_null_and_kept_as_it_came(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    moment = "2026-03-01"
    base = {"group_id": "acme", "timestamp": moment}
    write_ndjson(
        raw / "groups.ndjson",
        base | {"id": "a", "seats": "12.0", "mrr": " 1900 ", "canceled_at": ""},
        base | {"id": "b", "seats": 12.5, "mrr": "1,900", "canceled_at": 'so "on"'},
        base | {"id": "c", "seats": "NULL", "mrr": None, "canceled_at": " undefined "},
        base | {"id": "d", "seats": 10**30, "timestamp": "2026-02-30"},
        base | {"id": "e", "timestamp": "infinity", "seats": -3},
        base | {"id": "f", "timestamp": 1767225600, "seats": True},
        base | {"id": "g", "received_at": "294247-01-10 04:00:54", "canceled_at": "10000-01-01"},
    )
    write_ndjson(raw / "tracks.ndjson", TRACK)

    land(raw, warehouse)

    when = at("2026-03-01")
    landed = [
        (*values, unparsed and json.loads(unparsed))
        for *values, unparsed in rows(
            warehouse, "id, timestamp, seats, mrr, canceled_at, _unparsed", "groups"
        )
    ]
    assert landed == [
        ("a", when, 12, 1900, None, None),
        ("b", when, None, None, None, {"seats": "12.5", "mrr": "1,900", "canceled_at": 'so "on"'}),
        ("c", when, None, None, None, None),
        ("d", None, None, None, None, {"timestamp": "2026-02-30", "seats": str(10**30)}),
        ("e", None, -3, None, None, {"timestamp": "infinity"}),
        ("f", None, None, None, None, {"timestamp": "1767225600", "seats": "true"}),
        (
            *("g", when, None, None, None),
            {"received_at": "294247-01-10 04:00:54", "canceled_at": "10000-01-01"},
        ),
    ]


def test_typed_values_land_in_the_layout(raw: Path, warehouse: duckdb.DuckDBPyConnection) -> None:
    write_parquet(
        raw / "tracks.parquet",
        id=[7, 8],
        event=["Video Uploaded"] * 2,
        timestamp=pa.array([0, 1], pa.timestamp("ns")),
        received_at=pa.array([0, 1], pa.timestamp("s", "UTC")),
        user_id=pa.array([41.0, None]),
        context_group_id=pa.nulls(2),
        properties=[{"enabled": True, "sizes": [1, 2]}, None],
    )
    warehouse.execute(
        "copy (select 'i1' as id, timestamptz '-infinity' as timestamp, date 'infinity' as "
        "created_at, true as is_admin, 1.5 as ratio, 'nan'::double as score, 3::utinyint as level, "
        "timestamptz '2026-03-01 12:00:00+02' as trained_at) "
        f"to '{raw}/identifies.parquet'"
    )

    land(raw, warehouse)

    assert rows(
        warehouse, "id, timestamp, received_at, user_id, context_group_id, properties, _unparsed"
    ) == [
        (
            "7",
            at("1970-01-01"),
            at("1970-01-01"),
            "41",
            None,
            '{"enabled":true,"sizes":[1,2]}',
            None,
        ),
        ("8", at("1970-01-01"), at("1970-01-01T00:00:01"), None, None, None, None),
    ]
    ((unparsed, *traits),) = rows(
        warehouse,
        "_unparsed, timestamp, created_at, is_admin, ratio, score, level, trained_at",
        "identifies",
    )
    assert json.loads(unparsed) == {"timestamp": "-infinity", "created_at": "infinity"}
    assert traits == [None, None, "true", "1.5", None, "3", "2026-03-01 10:00:00"]


# Each file once.


def test_new_files_are_added_and_known_ones_left(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    write_csv(raw / "tracks.csv", "id,event,timestamp", "e1,Opened,2026-03-01")
    assert counts(land(raw, warehouse))["tracks"] == (1, 1)
    assert counts(land(raw, warehouse))["tracks"] == (0, 0)
    assert inspect(raw, warehouse).known_count == 1

    write_csv(raw / "tracks" / "b.csv", "event,id,timestamp,user_id", "Opened,e2,2026-03-02,u1")
    shutil.copyfile(raw / "tracks.csv", raw / "tracks_again.csv")  # deduplication comes later
    write_csv(raw / "groups.csv", "id,group_id,timestamp,region", "g1,acme,2026-03-02,EMEA")
    write_csv(raw / ".tracks.csv.swp.csv", "nothing")
    write_csv(raw / "tracks" / "_temporary" / "0.csv", "half written")
    write_csv(raw / "tracks.md", "what these files are")
    write_csv(raw / "truths.csv", "of a simulation")
    assert counts(land(raw, warehouse)) == {
        "tracks": (2, 2),
        "identifies": (0, 0),
        "groups": (1, 1),
    }

    assert rows(warehouse, "id, user_id, _load_id") == [
        ("e1", None, 1),
        ("e1", None, 3),
        ("e2", "u1", 2),
    ]
    assert rows(warehouse, "region", "groups") == [("EMEA",)]
    ledger = warehouse.execute(
        "select load_id, table_name, file_name, size_bytes, row_count, length(content_hash) "
        "from ops.landed_files order by load_id"
    ).fetchall()
    assert ledger == [
        (1, "tracks", "tracks.csv", 40, 1, 64),
        (2, "tracks", "tracks/b.csv", 51, 1, 64),
        (3, "tracks", "tracks_again.csv", 40, 1, 64),
        (4, "groups", "groups.csv", 53, 1, 64),
    ]


def test_known_files_may_go_away_or_be_touched(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    first = write_csv(raw / "tracks_1.csv", *TRACKS_CSV.splitlines())
    second = write_csv(raw / "tracks_2.csv", *TRACKS_CSV.splitlines())
    land(raw, warehouse)

    first.unlink()
    os.utime(second, ns=(1, 1))
    plan = inspect(raw, warehouse)
    assert [file.name for file in plan.touched] == ["tracks_2.csv"]
    assert counts(load(warehouse, plan))["tracks"] == (0, 0)
    assert inspect(raw, warehouse).touched == ()
    assert len(rows(warehouse, "id")) == 2


def test_an_ndjson_file_without_a_byte_may_be_filled_later(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    write_csv(raw / "tracks_1.csv", *TRACKS_CSV.splitlines())
    later = raw / "groups.ndjson"
    later.touch()
    land(raw, warehouse)
    assert inspect(raw, warehouse).files == ()

    write_ndjson(later, *GROUPS)
    land(raw, warehouse)
    assert rows(warehouse, "id", "groups") == [("g1",), ("g2",)]


@pytest.mark.parametrize(
    ("suppressed", "kept", "told"),
    [
        (0, ["tracks_1.csv", "tracks_2.csv"], []),
        (0, ["tracks_2.csv"], ["rows of tracks_1.csv would be lost: the landing folder lacks"]),
        (0, [], ["rows of tracks_1.csv and 1 more would be lost: the landing folder lacks them"]),
        (3, ["tracks_1.csv", "tracks_2.csv"], ["the erased would come back"]),
    ],
)
def test_where_raw_rows_are_gone_what_they_came_from_must_be_there(
    suppressed: int,
    kept: list[str],
    told: list[str],
    raw: Path,
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    published = raw.parent / "published.duckdb"
    with duckdb.connect(str(published)) as connection:
        connection.execute("create schema ops")
        connection.execute(
            "create table ops.landed_files as from (values"
            f" ('tracks', 'tracks_1.csv', 5, {suppressed}), ('tracks', 'tracks_2.csv', 5, null),"
            " ('tracks', 'empty.csv', 0, 0)"
            ") as files(table_name, file_name, row_count, suppressed_count)"
        )
    for name in [*kept, "tracks_new.csv"]:
        write_csv(raw / name, *TRACKS_CSV.splitlines())
    plan = inspect(raw, warehouse)
    landing.check_nothing_is_lost(plan, raw.parent / "nothing was published")

    problems = []
    try:
        landing.check_nothing_is_lost(plan, published)
    except InputError as error:
        problems = error.problems
    assert len(problems) == (len(told) and len(told) + 1)
    for line, part in zip(problems, told, strict=False):
        assert line.startswith(f"the work file is gone: {part}")
    land(raw, warehouse)
    landing.check_nothing_is_lost(inspect(raw, warehouse), published)


def test_a_known_file_with_other_content_stops_by_name(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    longer = write_csv(raw / "tracks_1.csv", *TRACKS_CSV.splitlines())
    other = write_csv(raw / "tracks_2.csv", *TRACKS_CSV.splitlines())
    land(raw, warehouse)
    write_csv(raw / "tracks_3.csv", *TRACKS_CSV.splitlines())
    longer.write_text(TRACKS_CSV + "e2,Video Uploaded,2026-03-02\n")
    other.write_text(TRACKS_CSV.replace("e1", "e9"))
    os.utime(other, ns=(1, 1))

    with pytest.raises(InputError) as caught:
        land(raw, warehouse)

    assert caught.value.problems == [
        (
            f"{longer}: has changed since it was loaded (58 bytes then, 87 now); restore it, and "
            "bring new rows in a new file, or rename it: rows with known ids count once"
        ),
        (
            f"{other}: has changed since it was loaded (the same size, other content); restore it, "
            "and bring new rows in a new file, or rename it: rows with known ids count once"
        ),
    ]
    assert len(rows(warehouse, "id")) == 2


def test_a_crash_before_the_ledger_is_written_leaves_nothing(
    raw: Path, warehouse: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(raw / "tracks_1.csv", *TRACKS_CSV.splitlines())
    write_csv(raw / "tracks_2.csv", *TRACKS_CSV.splitlines())

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(landing, "_note_loaded", crash)
        with pytest.raises(KeyboardInterrupt):
            land(raw, warehouse)
    assert schemas(warehouse) == {"main"}

    assert counts(land(raw, warehouse))["tracks"] == (2, 2)
    assert len(rows(warehouse, "id")) == 2


def test_a_process_that_dies_between_files_leaves_nothing(raw: Path, tmp_path: Path) -> None:
    write_csv(raw / "tracks_1.csv", *TRACKS_CSV.splitlines())
    write_csv(raw / "tracks_2.csv", *TRACKS_CSV.splitlines())
    warehouse = tmp_path / "killed.duckdb"
    script = (
        "import os, sys, duckdb, pathlib\n"
        "from orchestration import landing\n"
        "load_file = landing._load_file\n"
        "def dying(connection, file, *further, **named):\n"
        "    load_file(connection, file, *further, **named)\n"
        "    return os._exit(9) if '2' in file.name else (1, 0)\n"
        "landing._load_file = dying\n"
        "warehouse = duckdb.connect(sys.argv[1])\n"
        "landing.load(warehouse, landing.inspect(pathlib.Path(sys.argv[2]), warehouse))\n"
    )

    died = subprocess.run([sys.executable, "-c", script, str(warehouse), str(raw)], check=False)

    assert died.returncode == 9
    with duckdb.connect(str(warehouse)) as connection:
        assert schemas(connection) == {"main"}
        assert counts(land(raw, connection))["tracks"] == (2, 2)
        assert len(rows(connection, "id")) == 2


def test_a_file_that_grows_while_it_is_read_is_not_loaded(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    path = write_csv(raw / "tracks.csv", *TRACKS_CSV.splitlines())
    plan = inspect(raw, warehouse)
    path.write_text(TRACKS_CSV * 2)

    with pytest.raises(InputError, match=r"tracks\.csv: changed while it was read"):
        load(warehouse, plan)
    assert schemas(warehouse) == {"main"}


def test_files_of_a_raw_table_that_was_dropped_are_loaded_again(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    write_csv(raw / "tracks.csv", *TRACKS_CSV.splitlines())
    land(raw, warehouse)
    warehouse.execute("drop table raw.tracks")

    assert counts(land(raw, warehouse))["tracks"] == (1, 1)
    assert warehouse.execute("select count(*) from ops.landed_files").fetchall() == [(1,)]


# What is wrong is told, all of it, before anything is written.


def test_no_load_has_the_number_of_one_that_a_run_knew(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    write_csv(raw / "tracks_1.csv", *TRACKS_CSV.splitlines())
    groups = write_csv(raw / "groups.csv", "id,group_id,timestamp", "g,a,2026-03-01")
    land(raw, warehouse)
    warehouse.execute("create table ops.runs as select 2 as load_count")
    warehouse.execute("drop table raw.groups")
    groups.unlink()
    land(raw, warehouse)
    write_csv(raw / "tracks_2.csv", *TRACKS_CSV.splitlines())
    land(raw, warehouse)
    loads = "select load_id, file_name from ops.landed_files order by 1"
    assert warehouse.execute(loads).fetchall() == [(1, "tracks_1.csv"), (3, "tracks_2.csv")]


def test_all_wrong_files_are_told_at_once_and_nothing_is_written(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    write_csv(raw / "tracks_1.csv", *TRACKS_CSV.splitlines())
    write_csv(raw / "tracks_2.csv", "id,evnt,timestamp", "e1,Opened,2026-03-01")
    write_csv(raw / "tracks_3.csv", "id,event,timestamp", "e1,Opened")
    write_csv(raw / "groups.csv", "id,timestamp,ID", "g1,2026-03-01,g1")
    (raw / "identifies.parquet").write_bytes(b"PAR1 but not really PAR1")
    (raw / "identifies.json").write_text("[]")

    told = problems(raw, warehouse)

    corrupt = told.pop(3)
    assert corrupt.startswith("identifies.parquet: cannot be read: ")
    assert told == [
        (
            "identifies.json: is in none of the formats that can be read: parquet, csv, ndjson and "
            "jsonl, the last three also with .gz"
        ),
        (
            "tracks_2.csv: table tracks: the required column event is missing; there are "
            "id, evnt, timestamp"
        ),
        "tracks_3.csv:2: has 2 cells, the header has 3",
        (
            "groups.csv: table groups: the required column group_id is missing; there are "
            "id, timestamp, id"
        ),
        "groups.csv: table groups: the column id is there more than once",
    ]
    assert schemas(warehouse) == {"main"}


def test_one_column_in_two_spellings_is_told(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    (raw / "tracks.ndjson").write_text(
        '{"id": "e1", "event": "Opened", "timestamp": "2026-03-01", "user_id": "u"}\n'
        '{"ID": "e2", "event": "Opened", "timestamp": "2026-03-01", "user_id": "u"}\n'
    )
    row = {"id": "e1", "event": "Opened", "timestamp": "2026-03-01", "z_1": "x"}
    pl.DataFrame({**row, "user_id_1": "x"}).write_parquet(raw / "tracks_1.parquet")
    pl.DataFrame({**row, "user_id": "x", "USER_ID": "y"}).write_parquet(raw / "tracks_2.parquet")

    assert problems(raw, warehouse) == [
        "tracks.ndjson: table tracks: the column id is there more than once: as 'ID' and 'id'",
        "tracks_2.parquet: table tracks: the column user_id is there more than once",
    ]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "tracks.csv",
            b'id,event,timestamp\ne1,"two\nlines",2026-03-01\n\ne2,Opened,2026-03-01,x\n',
            "tracks.csv:5: has 4 cells, the header has 3",
        ),
        (
            "tracks.csv",
            b'id,event,timestamp\ne1,"Opened,2026-03-01\n',
            "tracks.csv:2: is not CSV: unexpected end of data",
        ),
        (
            "tracks.csv",
            b"id,event,timestamp\n" + b"e1,Opened,2026-03-01\n" * 900 + b"e2,\xd6ffnet,2026\n",
            "tracks.csv:902: is not UTF-8 text",
        ),
        (
            "tracks.csv",
            "id,event,timestamp\ne1,Opened,2026-03-01\n".encode("utf-16"),
            "tracks.csv: cannot be read: it is not UTF-8 text",
        ),
        (
            "tracks.csv",
            b"id,event,timestamp\r\ne1,Opened,2026-03-01\ne2,Opened,2026-03-01\r\n",
            "tracks.csv:2: ends unlike the lines before",
        ),
        (
            "tracks.csv",
            b"id,event,timestamp\ne1," + b"x" * 200_000 + b",2026-03-01\ne2,broken\n",
            "tracks.csv:3: has 2 cells, the header has 3",
        ),
        ("tracks.csv", b"", "tracks.csv:1: there is no header"),
        (
            "tracks.csv",
            b"id;event;timestamp\ne1;Opened;2026-03-01\n",
            "tracks.csv:1: cells are separated by ';', not by commas",
        ),
        (
            "tracks.csv.gz",
            gzip.compress(TRACKS_CSV.encode() * 50, mtime=0)[:-20],
            "tracks.csv.gz: cannot be read: ",
        ),
        ("tracks.csv.gz", TRACKS_CSV.encode(), "tracks.csv.gz: cannot be read: Not a gzipped file"),
        (
            "tracks.csv.gz",
            gzip.compress(TRACKS_CSV.encode(), compresslevel=0, mtime=0).replace(b"e1", b"e9"),
            "tracks.csv.gz: cannot be read: CRC check failed",
        ),
        (
            "tracks.csv",
            b"id,event,timestamp\ne1,x,2026-03-01\ne2," + b"x" * 17_000_000 + b",2026-03-01\n",
            "tracks.csv:3: has 17,000,015 bytes, a row may have 16,777,216",
        ),
        ("tracks.parquet", b"", "tracks.parquet: cannot be read: "),
        (
            "tracks.ndjson",
            b'{"id":"e1","event":"x","timestamp":"2026-03-01"}\n\n{"id":"e2",\n{}\n',
            "tracks.ndjson:3: is not JSON: ",
        ),
        (
            "tracks.ndjson",
            b'{"id":"e1"}\n\n{"id":"e2","event":"cut \\ud83d","timestamp":"2026-03-01"}\n',
            "tracks.ndjson:3: has half a character",
        ),
        (
            "tracks.ndjson",
            b'{"id":"e1","properties":' + b"[" * 5_000 + b"]" * 5_000 + b"}\n{bad\n",
            "tracks.ndjson:2: is not JSON: ",
        ),
        (
            "tracks.ndjson",
            b'{"id":"e1","event":"x","timestamp":"2026-03-01"}\n["e2"]\n',
            "tracks.ndjson:2: is not a JSON object",
        ),
        (
            "tracks.ndjson",
            b'{"id":"e1","event":"\xff","timestamp":"2026-03-01"}\n',
            "tracks.ndjson:1: is not UTF-8 text",
        ),
        (
            "tracks.ndjson.gz",
            gzip.compress(b'{"id":"e1","timestamp":"2026-03-01"}\n', mtime=0),
            (
                "tracks.ndjson.gz: table tracks: the required column event is missing; there are "
                "id, timestamp"
            ),
        ),
    ],
)
def test_a_broken_file_is_told_with_its_line(
    raw: Path,
    warehouse: duckdb.DuckDBPyConnection,
    name: str,
    content: bytes,
    problem: str,
) -> None:
    (raw / name).write_bytes(content)

    told = [line for line in problems(raw, warehouse) if line.startswith(problem)]

    assert len(told) == 1
    assert "\n" not in told[0]
    assert schemas(warehouse) == {"main"}


def test_a_row_of_many_letters_lands(raw: Path, warehouse: duckdb.DuckDBPyConnection) -> None:
    (raw / "tracks.csv").write_bytes(
        b"id,event,timestamp,properties\ne1,x,2026-03-01," + b"x" * 3_000_000 + b"\n"
    )
    land(raw, warehouse)
    assert warehouse.execute("select strlen(properties) from raw.tracks").fetchall() == [
        (3_000_000,)
    ]


def test_a_linked_folder_is_read_and_a_link_that_leads_back_is_not(
    raw: Path, warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for folder, row in ((raw / "tracks", "e1"), (tmp_path / "old", "e2")):
        folder.mkdir()
        (folder / "a.csv").write_text(f"id,event,timestamp\n{row},x,2026-03-01\n")
    (raw / "tracks" / "2025").symlink_to(tmp_path / "old")
    (raw / "tracks" / "2024").symlink_to(tmp_path / "old")
    (tmp_path / "old" / "new").symlink_to(raw / "tracks")
    (raw / "tracks" / "again").symlink_to(raw / "tracks")

    land(raw, warehouse)

    assert warehouse.execute("select id from raw.tracks order by id").fetchall() == [
        ("e1",),
        ("e2",),
    ]


def test_a_damaged_page_in_a_parquet_file_is_found(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    path = write_parquet(
        raw / "tracks.parquet",
        id=[f"e{n}" for n in range(5000)],
        event=["Opened"] * 5000,
        timestamp=["2026-03-01"] * 5000,
    )
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)

    (problem,) = problems(raw, warehouse)
    plan = inspect(raw, warehouse, is_read_through=False)
    with pytest.raises(InputError) as caught:
        load(warehouse, plan)

    assert problem.startswith("tracks.parquet: cannot be read: ")
    assert [line.replace(f"{raw}/", "") for line in caught.value.problems] == [problem]
    assert schemas(warehouse) == {"main"}


def test_numbers_are_no_times_and_flags_no_numbers(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    write_parquet(raw / "tracks.parquet", id=["e1"], event=["x"], timestamp=[1767225600])
    write_parquet(
        raw / "groups.parquet",
        id=["g1"],
        group_id=["acme"],
        timestamp=["2026-03-01"],
        seats=[True],
        canceled_at=[1.5],
    )

    assert problems(raw, warehouse) == [
        (
            "tracks.parquet: table tracks: the column timestamp holds bigint; "
            "a time is a timestamp, a date or text"
        ),
        "groups.parquet: table groups: the column seats holds boolean; it should hold numbers",
        (
            "groups.parquet: table groups: the column canceled_at holds double; "
            "a time is a timestamp, a date or text"
        ),
    ]


def test_a_folder_without_tracks_is_told(raw: Path, warehouse: duckdb.DuckDBPyConnection) -> None:
    write_csv(raw / "groups.csv", "id,group_id,timestamp")

    assert problems(raw, warehouse) == [
        (
            f"{raw}: there is no tracks file or folder (parquet, csv, ndjson and jsonl, the last "
            "three also with .gz), and the warehouse has no table raw.tracks"
        )
    ]
    assert problems(raw / "missing", warehouse) == [
        f"{raw / 'missing'}: no such folder of raw data"
    ]
    assert problems(raw / "groups.csv", warehouse) == [
        f"{raw / 'groups.csv'}: cannot be read: Not a directory"
    ]
    assert problems(None, warehouse) == ["the warehouse has no table raw.tracks"]


def test_a_folder_that_may_not_be_read_is_told(
    raw: Path, warehouse: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(raw / "tracks.csv", *TRACKS_CSV.splitlines())
    (raw / "groups").mkdir()
    iterdir = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "groups":
            raise PermissionError(13, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)

    assert problems(raw, warehouse) == ["groups: cannot be read: Permission denied"]


# Raw tables that are there already.


def test_tables_of_the_warehouse_need_no_folder(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    warehouse.execute("create schema raw")
    warehouse.execute(
        'create table raw."TRACKS" as select \'e1\' as "ID", \'x\' as "Event", '
        "timestamptz '2026-03-01 10:00:00+02' as \"TIMESTAMP\""
    )

    for folder in (None, raw / "missing", raw):
        assert counts(land(folder, warehouse)) == {
            "tracks": (0, 0),
            "identifies": (0, 0),
            "groups": (0, 0),
        }

    assert warehouse.execute("select count(*) from raw.tracks").fetchall() == [(1,)]
    assert warehouse.execute("select count(*) from raw.identifies").fetchall() == [(0,)]
    assert set(inspect(None, warehouse).columns("tracks")) == set(landing.LAYOUT["tracks"])


def test_traits_that_a_table_does_not_have_are_null_and_may_be_named(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    """A dial about `email` is right whether or not a table of the warehouse brings it."""
    warehouse.execute("create schema raw")
    warehouse.execute("create table raw.tracks (id text, event text, timestamp timestamp)")
    warehouse.execute("create table raw.identifies (id text, timestamp timestamp, Age bigint)")

    columns = inspect(None, warehouse).columns("identifies")

    assert {"email", "name", "role", "age"} <= set(columns)


def test_tables_of_the_warehouse_need_their_required_columns(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    warehouse.execute("create schema raw")
    warehouse.execute("create view raw.tracks as select 'e1' as id, 'x' as evnt, 5 as timestamp")
    warehouse.execute("create table raw.groups (id text, timestamp timestamp, canceled_at bigint)")

    assert sorted(problems(None, warehouse)) == [
        "raw.groups: the column canceled_at holds BIGINT; a time is a timestamp, a date or text",
        "raw.groups: the required column group_id is missing; there are id, timestamp, canceled_at",
        "raw.tracks: the column timestamp holds INTEGER; a time is a timestamp, a date or text",
        "raw.tracks: the required column event is missing; there are id, evnt, timestamp",
    ]


def test_a_column_with_the_name_of_the_places_of_rows_is_told(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    (raw / "tracks.csv").write_text("rowid,id,event,timestamp\n1,e1,Opened,2026-03-01\n")
    (raw / "groups.csv").write_text("ROWID,id,group_id,timestamp\n1,g1,acme,2026-03-01\n")
    why = "the column rowid has the name that DuckDB has for the places of rows; rename it"
    assert problems(raw, warehouse) == [f"groups.csv: table groups: {why}"]

    warehouse.execute("create schema raw")
    warehouse.execute("create table raw.tracks (id text, event text, timestamp text, rowid text)")
    assert problems(None, warehouse) == [f"raw.tracks: {why}"]


def test_tables_of_the_warehouse_hold_ids_and_properties_as_text(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    """7 and 7.0 would be two people."""
    warehouse.execute("create schema raw")
    warehouse.execute(
        "create table raw.tracks (id bigint, event text, timestamp timestamp, user_id double, "
        "context_group_id decimal(18, 0), properties struct(x bigint))"
    )
    warehouse.execute(
        "create table raw.identifies (id uuid, timestamp timestamp, user_id decimal(9, 2))"
    )

    why = "an id or a name is text or a whole number"
    assert sorted(problems(None, warehouse)) == [
        f"raw.identifies: the column user_id holds DECIMAL(9,2); {why}",
        "raw.tracks: the column properties holds STRUCT(x BIGINT); it should hold JSON text",
        f"raw.tracks: the column user_id holds DOUBLE; {why}",
    ]


def test_a_number_is_one_id_whatever_its_type(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    numbers = [100, 2**53 - 1]
    kinds = {"bigint": pa.int64(), "double": pa.float64(), "decimal": pa.decimal128(20, 2)}
    for name, kind in kinds.items():
        write_parquet(
            raw / f"tracks-{name}.parquet",
            id=[f"{name}{number}" for number in numbers],
            event=["x", "x"],
            timestamp=["2026-03-01", "2026-03-01"],
            user_id=pa.array(numbers, kind),
        )
    write_parquet(
        raw / "tracks-half.parquet",
        id=["half"],
        event=["x"],
        timestamp=["2026-03-01"],
        user_id=pa.array([Decimal("1.50")], pa.decimal128(9, 2)),
    )

    land(raw, warehouse)

    found = warehouse.execute("select user_id, count(*) from raw.tracks group by 1 order by 1")
    assert found.fetchall() == [("1.5", 1), ("100", 3), (str(2**53 - 1), 3)]


def test_what_is_no_regular_file_is_told(raw: Path, warehouse: duckdb.DuckDBPyConnection) -> None:
    os.mkfifo(raw / "tracks.csv")

    assert "tracks.csv: is no file but a pipe, a socket or a device" in problems(raw, warehouse)


def test_files_fit_themselves_into_a_table_of_other_types(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    warehouse.execute("create schema raw")
    warehouse.execute(
        "create table raw.tracks (id bigint, event varchar, timestamp timestamptz, "
        "received_at varchar, properties json)"
    )
    warehouse.execute(
        "insert into raw.tracks values (1, 'x', '2026-03-01 00:00:00+00', null, null)"
    )
    properties = {"properties": {"a": 1}, "received_at": "2026-03-01 09:00+02"}
    write_ndjson(
        raw / "tracks.ndjson",
        TRACK | {"id": "2", "user_id": "u1"} | properties,
        TRACK | {"id": "x3", "properties": "{no json"},
    )

    land(raw, warehouse)

    selected = warehouse.execute(
        "select id, epoch(timestamp), received_at, properties, user_id, _unparsed, _load_id "
        "from raw.tracks order by id nulls last"
    ).fetchall()
    instant = datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp()
    assert selected == [
        (1, instant - 36000, None, None, None, None, None),
        (2, instant, "2026-03-01 09:00+02", '{"a":1}', "u1", None, 1),
        (None, instant, None, None, None, '{"id":"x3","properties":"{no json"}', 1),
    ]


def test_files_for_a_view_or_against_a_constraint_are_told(
    raw: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    path = write_csv(raw / "tracks.csv", *TRACKS_CSV.splitlines())
    warehouse.execute("create schema raw")
    warehouse.execute("create table raw.tracks (id text, event text, timestamp timestamp)")
    warehouse.execute("alter table raw.tracks add column source text default 'a'")
    warehouse.execute("alter table raw.tracks alter column source set not null")
    warehouse.execute("create view raw.identifies as select 'i1' as id, now() as timestamp")
    write_csv(raw / "identifies.csv", "id,timestamp", "i1,2026-03-01")

    assert problems(raw, warehouse) == [
        "identifies.csv: raw.identifies is a view, which takes no files"
    ]

    (raw / "identifies.csv").unlink()
    warehouse.execute("create unique index one_event on raw.tracks (event)")
    path.write_text(TRACKS_CSV + "e2,Video Uploaded,2026-03-02\n")
    with pytest.raises(InputError, match=r"tracks\.csv: does not fit into raw\.tracks"):
        land(raw, warehouse)
    assert rows(warehouse, "id") == []


def test_a_warehouse_that_cannot_be_written_is_no_fault_of_the_files(
    raw: Path, warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    write_csv(raw / "tracks.csv", *TRACKS_CSV.splitlines())
    warehouse.execute("select 1")
    warehouse.close()

    with duckdb.connect(str(tmp_path / "work.duckdb"), read_only=True) as reader:
        plan = inspect(raw, reader)
        with pytest.raises(RunError, match="the raw tables could not be written"):
            load(reader, plan)


def test_real_events_land(warehouse: duckdb.DuckDBPyConnection) -> None:
    if not OULAD.is_dir():
        pytest.skip(f"no data set at {OULAD}")

    assert counts(land(OULAD, warehouse)) == {
        "tracks": (1, 350_298),
        "identifies": (1, 748),
        "groups": (1, 874),
    }
    assert warehouse.execute(
        "select min(timestamp)::date, max(timestamp)::date, count(_unparsed) from raw.tracks"
    ).fetchall() == [(date(2013, 9, 21), date(2015, 6, 27), 0)]
