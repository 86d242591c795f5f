"""How often published rules and our flags were right, on the same checks of a published warehouse.

    .venv/bin/python benchmarks/departures.py data/warehouse

Every account is checked every 14 days from day 42 to day 196 of its contract, while it could still
leave, for a departure within 28 days. The rules are the usual ones of the field, on points of the
default model; our flags are those of the warehouse, open on the day.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
from rich.console import Console
from rich.table import Table

from orchestration.signals.facts import trailing, weekly_at
from orchestration.signals.features import running_sum
from orchestration.signals.performance import History, Performance, evaluate, next_outcomes
from orchestration.signals.trends import SIGNIFICANT_P, TREND_WEEKS, levels, mann_kendall

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

HORIZON = 28
FIRST_CHECK, LAST_CHECK, STEP = 42, 196, 14
FALL = 10
"""Points of a score."""

DAYS = """
    select
        engagement.date - $first_date as day,
        rank_of.account,
        cast(engagement.day_points * 10000 as bigint) as points,
        engagement.account_status in ('paid', 'trial', 'unknown')
        and engagement.date between accounts.contract_started_date
            and coalesce(accounts.contract_ends_date + 30, engagement.date) as can_leave
    from marts.account_engagement_daily as engagement
    inner join marts.accounts on engagement.account_id = accounts.account_id
    inner join rank_of on engagement.account_id = rank_of.account_id
    where engagement.is_default_model
"""

FLAGS = """
    select
        rank_of.account,
        flag_history.opened_date - $first_date as opened,
        coalesce(flag_history.closed_date - $first_date, 2147483647) as closed
    from marts.flag_history
    inner join reference.flag_rules on flag_history.flag_key = flag_rules.flag_key
    inner join rank_of on flag_history.account_id = rank_of.account_id
    where
        flag_history.entity = 'account'
        and flag_history.kind = 'risk'
        and flag_rules.severity = 'high'
"""


class Fleet:
    """What the published marts say of the default model's accounts, shape (days, accounts).

    Attributes:
        points: Whole ten-thousandths of the day's points.
        scored: Whether the account was scored.
        can_leave: Live, the contract begun and not over for more than 30 days.
        is_open: Whether a risk of high severity was open.
        checked: The days on which it is checked.
        canceled: Account and day of every departure, two rows.
        first_seen: The first scored day of each account.
        curve: Of the default model.
    """

    def __init__(self, published: Path) -> None:
        """Read all of it."""
        with duckdb.connect(str(published), read_only=True) as connection:
            ((first_date, last_date),) = connection.execute(
                "select min(date), max(date) from marts.account_engagement_daily"
            ).fetchall()
            connection.execute(
                "create temp table rank_of as select account_id, "
                "row_number() over (order by account_id) - 1 as account from marts.accounts"
            )
            ((self.curve,),) = connection.execute(
                "select curve from reference.score_models where score_model = 'default'"
            ).fetchall()
            known = {"first_date": first_date}
            rows = connection.execute(DAYS, known).fetchnumpy()
            flags = connection.execute(FLAGS, known).fetchall()
            contracts = connection.execute(
                "select account, contract_started_date, canceled_date "
                "from marts.accounts inner join rank_of using (account_id) order by account"
            ).fetchall()
        shape = (last_date - first_date).days + 1, len(contracts)
        cells = rows["day"], rows["account"]
        self.points, self.scored = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        self.can_leave, self.is_open, self.checked = np.zeros((3, *shape), dtype=bool)
        self.points[cells], self.scored[cells] = rows["points"], True
        self.can_leave[cells] = np.ma.filled(rows["can_leave"], fill_value=False)
        self.first_seen = np.where(self.scored.any(axis=0), self.scored.argmax(axis=0), shape[0])
        for account, opened, closed in flags:
            self.is_open[opened:closed, account] = True
        departures = []
        for account, started, canceled in contracts:
            if started is not None:
                for age in range(FIRST_CHECK, LAST_CHECK + 1, STEP):
                    day = (started + timedelta(days=age) - first_date).days
                    if 0 <= day < shape[0]:
                        self.checked[day, account] = True
            if canceled is not None:
                departures.append((account, (canceled - first_date).days))
        self.canceled = np.array(departures, dtype=np.int64).reshape(-1, 2).T

    def scores(self, days: int) -> Array:
        """Score the points of so many days on the default model's curve."""
        points = trailing(running_sum(self.points), days).astype(np.float64)
        scores = np.zeros_like(points)
        for day, row in enumerate(points):
            known = row[self.scored[day] & (row > 0)]
            if len(known):
                share = row / np.quantile(known, 0.9)
                scores[day] = (
                    100 * np.minimum(share, 1)
                    if self.curve == "winsorized"
                    else 100 * (1 - np.power(10, -share))
                )
        return scores

    def score_fell(self, days: int) -> Array:
        """Say where the score is 10 points below that of as many days before."""
        scores = self.scores(days)
        fell = np.zeros(scores.shape, dtype=bool)
        fell[days:] = scores[days:] <= scores[:-days] - FALL
        return fell

    def rules(self) -> Mapping[str, Array]:
        """Say by rule where it holds."""
        total = running_sum(self.points)
        recent, before = trailing(total, 14), trailing(total, 14, 14)
        day, account = np.indices(self.points.shape)
        weeks = weekly_at(total, day, account)
        observed = np.maximum((day - self.first_seen + 1) // 7, 0)
        measured = levels(weeks, observed)
        trend = mann_kendall(weeks[:TREND_WEEKS], np.minimum(observed, TREND_WEEKS))
        is_silent = (total[1:] > 0) & (recent == 0)
        return {
            "score down >= 10 points, 7 days": self.score_fell(7),
            "score down >= 10 points, 30 days": self.score_fell(30),
            "usage down >= 50 %, 14 days against 14": (before > 0) & (2 * recent <= before),
            "level below half of the own baseline": 2 * measured.baseline_ratio < 1,
            "no activity for 14 days": is_silent,
            "the same and a falling Mann-Kendall trend": is_silent
            & (trend.s < 0)
            & (trend.p_value <= SIGNIFICANT_P),
            "any account risk of severity high": self.is_open,
        }


def judge(fleet: Fleet) -> Mapping[str, Performance]:
    """Judge every rule on the same checks."""
    days = np.flatnonzero(fleet.checked.any(axis=1))
    account, day = fleet.canceled
    history = History(
        check_days=days,
        at_risk=(fleet.checked & fleet.can_leave)[days].T,
        next_outcome=next_outcomes(account, day, fleet.points.shape[1], days),
        observed_until=len(fleet.points) - 1,
    )
    flags = {name: holds[days].T for name, holds in fleet.rules().items()}
    return {name: found[0] for name, found in evaluate(history, flags, [HORIZON]).items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("warehouse", type=Path)
    published = parser.parse_args().warehouse / "published" / "current" / "accountpulse.duckdb"
    found = judge(Fleet(published))
    any_rule = next(iter(found.values()))
    table = Table(
        title=f"{any_rule.checked_count} checks, {any_rule.outcome_count} followed by a departure "
        f"within {HORIZON} days, of {any_rule.outcome_account_count} accounts"
    )
    table.add_column("rule")
    for name in ("precision", "recall", "lift", "95 %", "stayers ever flagged"):
        table.add_column(name, justify="right")
    for name, seen in found.items():
        table.add_row(name, *told(seen))
    Console().print(table)


def told(seen: Performance) -> tuple[str, ...]:
    """Say the numbers of one rule."""

    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    interval = f"{number(seen.lift_low, '.2f')} to {number(seen.lift_high, '.2f')}"
    return (
        number(seen.precision, ".1%"),
        number(seen.recall, ".0%"),
        number(seen.lift, ".2f"),
        "" if seen.lift is None else interval,
        number(seen.never_flagged_share, ".0%"),
    )


if __name__ == "__main__":
    main()
