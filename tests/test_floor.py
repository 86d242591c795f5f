"""The floor gives the numbers that a run publishes; what it leaves out, it leaves out by name."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
import reference
from comparison import read, rows_of
from floor import build, differences
from marts import fill
from raw_cases import RAW_COLUMNS, USUAL, Case, Place, random_case, write_dials
from test_cli import accountpulse

from orchestration.simulate import simulate

AS_OF = date(2026, 6, 30)
TABLES = {
    "account_activation",
    "account_activation_daily",
    "account_engagement",
    "account_engagement_daily",
    "accounts",
    "user_accounts",
    "user_activation",
    "user_engagement",
    "user_engagement_daily",
    "users",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "made"
    simulate(folder, accounts=25, days=200, events=20_000, until=AS_OF)
    return folder


@pytest.fixture(scope="module")
def published(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database file of one real run."""
    warehouse = tmp_path_factory.mktemp("warehouse")
    done = accountpulse("run", "--raw", raw, "--warehouse", warehouse, "--as-of", str(AS_OF))
    assert done.returncode == 0, done.stderr
    return warehouse / "published" / "current" / "accountpulse.duckdb"


@pytest.fixture(scope="module")
def floor(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("floor") / "floor.duckdb"
    build(raw, AS_OF, out)
    return out


def test_every_value_is_the_published_one(floor: Path, published: Path) -> None:
    with duckdb.connect(str(floor)) as connection:
        tables = connection.execute("select table_name from duckdb_tables()").fetchall()
    assert {table for (table,) in tables} == TABLES
    assert differences(floor, published) == []


def test_a_value_that_differs_is_told(floor: Path, published: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(floor.read_bytes())
    with duckdb.connect(str(other)) as connection:
        connection.execute(
            "update user_engagement_daily set engagement_score = engagement_score + 0.000001"
            " where rowid = 7"
        )
    (told,) = differences(other, published)
    assert told.startswith("user_engagement_daily: ")
    assert told.endswith(" 1 are missing; 1 rows are others")


# What the floor takes for granted: these columns, times as timestamps, whole numbers as such.
FURTHER_COLUMNS = {
    "tracks": (),
    "identifies": ("title", "department"),
    "groups": ("industry", "region", "owner"),
}
OTHER_NAMES = {"team": "department"}


def typed(case: Case, folder: Path) -> Path:
    """The raw rows of a case as the floor wants them, every column there."""
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for table, rows in case.raw.items():
            names = (*RAW_COLUMNS[table], *FURTHER_COLUMNS[table])
            connection.execute(f"create table {table} ({', '.join(f'{n} text' for n in names)})")
            texts = [[reference.as_text(row.get(name)) for name in names] for row in rows]
            fill(connection, table, texts)
            for name in names:
                if name in {"seats", "mrr"}:
                    kind, value = "bigint", f"try_cast({name} as bigint)"
                elif name == "timestamp" or name.endswith("_at"):
                    instant = f"try_cast(trim({name}, e' \\t\\n\\r') as timestamptz)"
                    value = f"case when isfinite({instant}) then {instant} at time zone 'UTC' end"
                    kind = "timestamp"
                else:
                    continue
                connection.execute(f"alter table {table} alter {name} type {kind} using {value}")
            connection.execute(f"copy {table} to '{folder / table}.parquet'")
    return folder


@pytest.mark.parametrize("seed", range(500, 510))
def test_nasty_rows_and_dials_give_what_the_slow_reading_gives(seed: int, tmp_path: Path) -> None:
    drawn = random_case(seed, USUAL, Place("UTC", date(2024, 3, 1)))
    raw = {
        table: [{OTHER_NAMES.get(k, k): cell for k, cell in row.items()} for row in rows]
        for table, rows in drawn.raw.items()
    }
    dials = {
        name: [{k: OTHER_NAMES.get(cell, cell) for k, cell in row.items()} for row in rows]
        for name, rows in drawn.dials.items()
    }
    case = drawn._replace(raw=raw, dials=dials)
    write_dials(dials, tmp_path / "seeds")
    build(
        typed(case, tmp_path / "raw"), case.as_of, tmp_path / "out.duckdb", seeds=tmp_path / "seeds"
    )
    expected = reference.build(case.raw, case.dials, case.as_of)
    with duckdb.connect(str(tmp_path / "out.duckdb")) as connection:
        connection.execute("create schema marts")
        for table in TABLES:
            connection.execute(f"create view marts.{table} as from main.{table}")
            names = list(expected[table][0]) if expected[table] else []
            got = rows_of(read(connection, table), names)
            assert got == rows_of(expected[table], names), table
