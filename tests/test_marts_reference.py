"""The SQL marts against the slow reading of the contract, on small nasty data drawn at random.

A failing case names its seed: `raw_cases.random_case(seed, SMALL)` draws it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest
from comparison import differences, read, rows_of
from marts import CompiledMarts
from raw_cases import LARGE, SMALL, USUAL, random_case, write_case
from reference import clean

from orchestration.project import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from raw_cases import Size


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> CompiledMarts:
    return CompiledMarts(tmp_path_factory.mktemp("compiled"))


def check(marts: CompiledMarts, seed: int, size: Size) -> None:
    case = random_case(seed, size)
    with marts.run(case) as connection:
        assert differences(connection, case) == {}, f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_every_mart_equals_the_slow_reading(marts: CompiledMarts, seed: int) -> None:
    check(marts, seed, SMALL)


@pytest.mark.parametrize("seed", range(100, 103))
def test_every_mart_equals_the_slow_reading_with_full_benchmarks(
    marts: CompiledMarts, seed: int
) -> None:
    check(marts, seed, LARGE)


@pytest.mark.parametrize(("seed", "kind"), [(301, "parquet"), (302, "ndjson"), (303, "csv")])
def test_the_whole_run_equals_the_slow_reading(seed: int, kind: str, tmp_path: Path) -> None:
    """From files in a landing folder to the published file, by the command."""
    case = random_case(seed, USUAL)
    raw, seeds = write_case(case.raw, case.dials, tmp_path, kind=kind)
    subprocess.run(
        [
            *(sys.executable, "-m", "orchestration.cli", "run", "--raw", str(raw)),
            *("--warehouse", str(tmp_path / "warehouse"), "--as-of", str(case.as_of)),
        ],
        env=os.environ
        | {
            "ACCOUNTPULSE_SEEDS": str(seeds),
            "ACCOUNTPULSE_REPORTING_TIMEZONE": case.timezone,
        },
        check=True,
        cwd=CHECKOUT,
    )
    published = tmp_path / "warehouse" / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        ((load,),) = connection.execute(
            "select load_id from ops.landed_files where table_name = 'tracks'"
        ).fetchall()
        tracks = [row | {"_load_id": load} for row in case.raw["tracks"]]
        case = case._replace(raw={**case.raw, "tracks": tracks})
        assert differences(connection, case) == {}, f"seed {seed}"


HISTORIES = ("account_activation_daily", "user_engagement_daily", "account_engagement_daily")


@pytest.mark.parametrize("seed", range(200, 215))
def test_a_later_as_of_date_leaves_earlier_days_as_they_were(
    marts: CompiledMarts, seed: int
) -> None:
    """Promise 2 of the contract, for events that say who and where themselves.

    A later identification or join may give earlier events their owner, exclusions are judged
    on the as-of date, and the restated columns are meant to change: none of them is here.
    """
    case = random_case(seed, SMALL)
    said = [
        row
        | {
            "user_id": clean(row.get("user_id")) or "u1",
            "context_group_id": clean(row.get("context_group_id")) or "7",
        }
        for row in case.raw["tracks"]
    ]
    case = case._replace(raw={**case.raw, "tracks": said}, dials={**case.dials, "exclusions": []})
    earlier = case._replace(as_of=case.as_of - timedelta(days=15))
    with marts.run(case) as late, marts.run(earlier) as early:
        for table in HISTORIES:
            now = [row for row in read(late, table) if row["date"] <= earlier.as_of]
            then = read(early, table)
            names = [name for name in (then[0] if then else ()) if not name.endswith("_restated")]
            assert rows_of(now, names) == rows_of(then, names), f"seed {seed}: {table}"
