"""The floor gives the numbers that a run publishes; what it leaves out, it leaves out by name."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
from floor import build, differences
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
