"""Promise 1 through the command: daily runs leave what one full build leaves.

A failing case names its seed: `draw(seed, USUAL)` draws it again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest
from raw_cases import USUAL, write_dials, write_raw
from test_incremental import draw, tables

from orchestration.project import CHECKOUT

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from raw_cases import Case


def run_command(folder: Path, case: Case, as_of: date, *arguments: str) -> bool:
    """Run the command on the landing folder; false where what it needs has not landed yet."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "orchestration.cli", "run", "--raw", str(folder / "raw")),
            *("--warehouse", str(folder / "warehouse"), "--as-of", str(as_of), *arguments),
        ],
        env=os.environ
        | {
            "ACCOUNTPULSE_SEEDS": str(folder / "seeds"),
            "ACCOUNTPULSE_REPORTING_TIMEZONE": case.timezone,
        },
        check=False,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    awaited = ("no events", "no tracks file", "a trait in raw")
    if done.returncode == 2 and any(text in done.stderr for text in awaited):
        return False
    assert done.returncode == 0, done.stdout + done.stderr
    return True


def published(folder: Path) -> tuple[dict[str, list[tuple[object, ...]]], list[bool]]:
    """Return the published rows, and which runs built everything anew."""
    path = folder / "warehouse" / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        full = connection.execute("select is_full_build from ops.runs order by run_id").fetchall()
        rows = tables(connection)
    del rows["ops.runs"], rows["ops.restatements"]
    return rows, [is_full for (is_full,) in full]


def restated(folder: Path) -> list[tuple[object, ...]]:
    """Return what the newest run says that it restated."""
    path = folder / "warehouse" / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(
            "select * exclude (run_id) from ops.restatements"
            " where run_id = (select max(run_id) from ops.runs) order by restated_date"
        ).fetchall()


def restated_from(folder: Path) -> date | None:
    """Return the first day that the newest run says it restated."""
    path = folder / "warehouse" / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        ((day,),) = connection.execute(
            "select max_by(restated_from_date, run_id) from ops.runs"
        ).fetchall()
    return day


@pytest.mark.parametrize(
    ("seed", "restates"), [(501, True), (502, True), (503, False), (505, True), (506, True)]
)
def test_daily_runs_of_the_command_equal_one_full_build(
    seed: int, *, restates: bool, tmp_path: Path
) -> None:
    """Files that land between runs; marts, flags, trends and counts as published.

    Built anew, the last run tells the same restated days.
    """
    case, runs = draw(seed, USUAL)
    *before, last = runs[-2:]
    daily, anew = tmp_path / "daily", tmp_path / "anew"
    write_dials(case.dials, daily / "seeds")
    (daily / "raw").mkdir()
    done = 0
    for number, run in enumerate(before):
        for part, delivery in enumerate(run.deliveries):
            write_raw(delivery, daily / "raw", name=f"-{number}-{part}")
        done += run_command(daily, case, run.as_of)
    for part, delivery in enumerate(last.deliveries):
        write_raw(delivery, daily / "raw", name=f"-last-{part}")
    shutil.copytree(daily, anew, symlinks=True)
    assert run_command(daily, case, last.as_of)
    assert run_command(anew, case, last.as_of, "--full-refresh")
    got, full = published(daily)
    assert full == [True] + [False] * done
    wanted, full = published(anew)
    assert full == [True] * (done + 1)
    assert got.keys() == wanted.keys()
    wrong = [name for name in wanted if got[name] != wanted[name]]
    assert not wrong, f"seed {seed}: {wrong}"
    assert restated(anew) == restated(daily)
    assert bool(restated(daily)) == restates
    if restates:
        first = min(row[-1] for row in restated(daily))
        assert [restated_from(folder) for folder in (daily, anew)] == [first, first]


@pytest.mark.parametrize("seed", [503, 505])
def test_traits_that_only_later_files_tell_count_as_in_a_full_build(
    seed: int, tmp_path: Path
) -> None:
    """The first run knows no column `team` or `industry`; rows that it loaded come again.

    Another column that comes later has quotes in its name.
    """
    case, _ = draw(seed, USUAL)
    later = {"identifies": "team", "groups": "industry"}
    dials = {
        name: [row for row in rows if not {*later.values()} & {*row.values()}]
        for name, rows in case.dials.items()
    }
    write_dials(dials, tmp_path / "seeds")
    first = {
        table: [
            {name: value for name, value in row.items() if name != later.get(table)}
            for row in rows[::2]
        ]
        for table, rows in case.raw.items()
    }
    write_raw(first, tmp_path / "raw", name="-first")
    assert run_command(tmp_path, case, case.as_of)
    second = {
        table: [row | {'the "real" one': "yes"} if table in later else row for row in rows]
        for table, rows in case.raw.items()
    }
    write_raw(second, tmp_path / "raw", name="-all")
    assert run_command(tmp_path, case, case.as_of)
    got, full = published(tmp_path)
    assert full == [True, False]
    traits = user_traits(tmp_path)
    assert {"team", 'the "real" one'} < {trait for _, trait, *_ in traits}
    run_command(tmp_path, case, case.as_of, "--full-refresh")
    wanted, _ = published(tmp_path)
    assert [name for name in wanted if got[name] != wanted[name]] == []
    assert user_traits(tmp_path) == traits
    assert restated(tmp_path) == [], "the full build says that days became other"


def user_traits(folder: Path) -> list[tuple[object, ...]]:
    """Return what the work file says of users."""
    with duckdb.connect(str(folder / "warehouse" / "work.duckdb"), read_only=True) as connection:
        return connection.execute(
            "select user_id, trait, trait_value, valid_from, valid_to"
            " from intermediate.int_user_trait_intervals order by all"
        ).fetchall()
