"""The whole pipeline on real data, met value by value.

350,298 events of 748 accounts of an open university, with values that were computed from the
contract by a slow, independent reading of it. The folder is no part of the product.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pytest

from orchestration.project import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

OULAD = CHECKOUT.parent / "shared" / "data" / "oulad"
EXPECTED = OULAD / "expected"
DAYS = [date(2014, 2, 10), date(2015, 1, 15), date(2015, 3, 1)]
ENGAGEMENT = (
    "engagement_points",
    "engagement_score",
    "engagement_score_avg",
    "user_count",
    "active_user_count",
)
ACTIVATION = (
    "step_count",
    "completed_step_count",
    "activation_rate",
    "user_activation_rate",
    "readiness_rate",
)

pytestmark = pytest.mark.skipif(
    not OULAD.is_dir(), reason=f"the real data is not there ({OULAD}): nothing to compare with"
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a warehouse that ran as of each of the three days; one published version each."""
    folder = tmp_path_factory.mktemp("real")
    seeds = folder / "seeds"
    shutil.copytree(OULAD / "seeds", seeds, copy_function=shutil.copyfile)
    seeds.chmod(0o755)
    shutil.copyfile(CHECKOUT / "seeds" / "flag_rules.csv", seeds / "flag_rules.csv")
    for day in DAYS:
        subprocess.run(
            [
                *(sys.executable, "-m", "orchestration.cli", "run", "--raw", str(OULAD)),
                *("--warehouse", str(folder / "warehouse"), "--as-of", str(day)),
            ],
            env=os.environ | {"ACCOUNTPULSE_SEEDS": str(seeds)},
            check=True,
            cwd=CHECKOUT,
        )
    return folder / "warehouse"


def published(warehouse: Path, day: date) -> Path:
    """Return the published file of the run as of a day."""
    (found,) = warehouse.glob(f"published/run-*{day}/accountpulse.duckdb")
    return found


def unequal(path: Path, mart: str, where: str, expected: Path, columns: tuple[str, ...]) -> int:
    """Count rows that only one side has, or whose values differ by more than a millionth."""
    keys = "score_model, account_id" if "score_model" in expected.read_text()[:40] else "account_id"
    differ = " or ".join(
        f"(e.{name} is null) <> (m.{name} is null) or abs(e.{name} - m.{name}) > 1e-6"
        for name in columns
    )
    with duckdb.connect(str(path), read_only=True) as connection:
        ((count, compared),) = connection.execute(
            f"""
            select count(*) filter (e.side is null or m.side is null or {differ}), count(*)
            from (select *, 1 as side from read_csv('{expected}')) as e
            full join (select *, 1 as side from marts.{mart} where {where}) as m using ({keys})
            """
        ).fetchall()
    assert compared > 0
    return int(count)


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_daily_tables_meet_the_expected_values(warehouse: Path, day: date) -> None:
    newest = published(warehouse, DAYS[-1])
    engagement = EXPECTED / f"account_engagement_{day}.csv"
    activation = EXPECTED / f"account_activation_{day}.csv"
    where = f"date = '{day}'"
    assert unequal(newest, "account_engagement_daily", where, engagement, ENGAGEMENT) == 0
    assert unequal(newest, "account_activation_daily", where, activation, ACTIVATION) == 0


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_run_as_of_the_day_meets_the_expected_values(warehouse: Path, day: date) -> None:
    path = published(warehouse, day)
    engagement = EXPECTED / f"account_engagement_{day}.csv"
    activation = EXPECTED / f"account_activation_{day}.csv"
    assert unequal(path, "account_engagement", "true", engagement, ENGAGEMENT) == 0
    assert unequal(path, "account_activation", "true", activation, ACTIVATION) == 0
    with duckdb.connect(str(path), read_only=True) as connection:
        wrong = connection.execute(
            f"""
            select account_id, e.missing_steps, m.missing_steps
            from read_csv('{activation}', all_varchar = true) as e
            inner join marts.account_activation as m using (account_id)
            where coalesce(e.missing_steps, '') <> m.missing_steps
            """
        ).fetchall()
    assert wrong == []
