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
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from shuffled import Judged, finds_nothing

from orchestration.dials import load_dials
from orchestration.project import CHECKOUT
from orchestration.signals import tables

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


@pytest.fixture(scope="module")
def judged(warehouse: Path) -> Judged:
    """Return what was seen of the real fleet up to the last day."""
    with duckdb.connect(str(warehouse / "work.duckdb")) as connection:
        return Judged(connection, DAYS[-1], load_dials(warehouse.parent / "seeds"))


def test_the_model_beats_active_days_and_is_no_leak(judged: Judged) -> None:
    """Forward in time, on enrolments that it had not seen, every Monday."""
    record = judged.built["risk_ranking_performance"].filter(horizon_days=28)
    model, plain = (
        record.row(by_predicate=pl.col("ranking") == name, named=True)
        for name in ("model", "active_days")
    )
    assert model["is_shown"]
    assert not plain["is_shown"]
    assert model["checked_count"] == plain["checked_count"] > 5000
    assert model["outcome_account_count"] >= 30
    assert plain["auc"] + 0.02 < model["auc"] < 0.9
    assert model["auc_low"] > 0.5
    assert model["top_decile_lift"] > max(2.0, plain["top_decile_lift"])


@pytest.mark.parametrize("day", DAYS[:-1], ids=str)
def test_a_later_run_ranks_an_earlier_day_as_the_run_of_that_day(
    warehouse: Path, day: date
) -> None:
    dials = load_dials(warehouse.parent / "seeds")
    with duckdb.connect(str(warehouse / "work.duckdb")) as connection:
        later = Judged(connection, day, dials).built
    with duckdb.connect(str(published(warehouse, day)), read_only=True) as connection:
        for table in (tables.ACCOUNT_CHURN_RISK, tables.RISK_RANKING_PERFORMANCE):
            columns = ", ".join(
                f"{column.name}::double as {column.name}"
                if column.type == tables.NUMBER
                else column.name
                for column in table.columns
            )
            then = connection.sql(
                f"select {columns} from marts.{table.name} order by {', '.join(table.key)}"
            ).pl()
            assert then.height > 0
            assert_frame_equal(later[table.name], then, abs_tol=1e-6)


@pytest.mark.parametrize("among", ["everybody", "the same course"])
def test_by_departures_shuffled_between_accounts_nothing_works(
    judged: Judged, warehouse: Path, among: str
) -> None:
    """The negative control: 19 of 20 times at least no flag works and no model ranks."""
    with duckdb.connect(str(published(warehouse, DAYS[-1])), read_only=True) as connection:
        plans = dict(connection.execute("select account_id, plan from marts.accounts").fetchall())
    groups = [plans[key] if among == "the same course" else None for key in judged.account_ids]
    assert not finds_nothing(judged, judged.outcomes)
    dealt = [judged.shuffled(groups, seed) for seed in range(20)]
    assert sum(finds_nothing(judged, outcomes) for outcomes in dealt) >= 19
    if among == "the same course":  # not for want of outcomes: flags and model could have worked
        assert "no_better_than_chance" in judged.verdicts(dealt[0])["verdict"]
        assert "no_better_than_chance" in judged.rankings(dealt[0])["verdict"]
