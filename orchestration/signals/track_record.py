"""Track record: which checks flags are judged on, and how the judgement is told as a table.

What belongs here: the days that are checked, who could still have the outcome, which outcome counts
for which kind of flag, a row per flag and horizon. What does not: the counting and its statistics,
which are `performance`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals import tables
from orchestration.signals.facts import NO_DAY, Block, Span
from orchestration.signals.flags import Kind, Rule
from orchestration.signals.history import SEVERITIES
from orchestration.signals.performance import History, Performance, evaluate, next_outcomes
from orchestration.signals.watch import Watched

Bools = npt.NDArray[np.bool_]

CHECK_WEEKDAY = 3
"""Checks are on Mondays, whatever the as-of date: 1970 began three days after one."""

WEEK = 7

GRACE_DAYS = 30
"""An account whose contract ended longer ago has left without a word, as for the flags."""

TOLD_HORIZON = 28
"""The horizon whose precision and verdict open flags carry."""

ANY_HIGH_RISK = "any_high_risk"
"""All risks of accounts whose rule is of high severity, taken together."""

OUTCOMES: Mapping[Kind, str] = {"risk": "canceled", "opportunity": "grown"}
"""A risk is right when the account cancels; an opportunity when it starts to pay or pays more."""


def check_days(span: Span) -> npt.NDArray[np.int64]:
    """Give the indices of the days on which flags are checked."""
    return np.flatnonzero((span.dates + CHECK_WEEKDAY) % WEEK == 0).astype(np.int64)


def can_leave(block: Block, days: npt.NDArray[np.integer]) -> Bools:
    """Say who could still leave: live, and the contract, if there is one, begun and not long over.

    Without the second part everybody whose contract ran out without a word would count as one who
    stayed, and a flag of customers under contract would look right for nothing.

    Args:
        block: Some accounts.
        days: Indices of days.

    Returns:
        Shape (accounts, days asked for).
    """
    date_days = block.span.dates[days].astype(np.int64)[:, None]
    started, ends = (
        block.dates[name][days].astype(np.int64)
        for name in ("contract_started_date", "contract_ends_date")
    )
    has_begun = (started == NO_DAY) | (started <= date_days)
    is_over = (ends != NO_DAY) & (date_days - ends > GRACE_DAYS)
    can: Bools = (block.presence.is_live[days] & has_begun & ~is_over).T
    return can


@dataclass(frozen=True)
class Checked:
    """What a block's checks showed, arrays of shape (accounts, checks).

    Attributes:
        account: Number of each account in the fleet.
        at_risk: The account could still leave.
        flagged: By rule, whether a flag was open; one of a user counts for the account.
    """

    account: npt.NDArray[np.integer]
    at_risk: Bools
    flagged: Mapping[str, Bools]


def check(block: Block, watched: Iterable[Watched]) -> Checked:
    """Look at a block's flags on the days of the checks."""
    days = check_days(block.span)
    flagged = {}
    for found in watched:
        is_open = found.level[days] > 0
        if found.rule.entity == "user":
            is_open = block.users.per_account(np.logical_or, is_open, block.keys.height)
        flagged[found.rule.key] = is_open.T
    return Checked(account=block.account, at_risk=can_leave(block, days), flagged=flagged)


def gathered(
    parts: Iterable[tuple[npt.NDArray[np.integer], npt.NDArray[Any]]], days: int
) -> npt.NDArray[Any]:
    """Put what was found in parts of the fleet side by side, each account in its row.

    Args:
        parts: Numbers of all accounts, part by part, each with its values of shape
            (accounts, days, ...); the days may begin late, and all end together.
        days: How many there are at most.

    Returns:
        Shape (all accounts, days, ...); 0 before a part's own days.
    """
    accounts, values = zip(*parts, strict=True)
    shape = (sum(map(len, accounts)), days, *values[0].shape[2:])
    whole = np.zeros(shape, dtype=values[0].dtype)
    for account, found in zip(accounts, values, strict=True):
        whole[account, days - found.shape[1] :] = found
    return whole


def judge_flags(
    checked: list[Checked],
    chosen: Mapping[str, tuple[Rule, str]],
    outcomes: pl.DataFrame,
    span: Span,
    as_of: date,
) -> pl.DataFrame:
    """Say how often every rule was right.

    Args:
        checked: Of all blocks.
        chosen: By flag key its rule and the severity that its dial gives it.
        outcomes: `account` (number), `day` (index) and `outcome` (of OUTCOMES).
        span: The days.
        as_of: The last day.

    Returns:
        The rows of `flag_performance`.
    """
    empty = tables.frame_of(tables.FLAG_PERFORMANCE)
    if not checked:
        return empty
    days = check_days(span)
    at_risk = gathered(((part.account, part.at_risk) for part in checked), len(days))
    rows = []
    for kind, outcome in OUTCOMES.items():
        flags = {
            key: gathered(((part.account, part.flagged[key]) for part in checked), len(days))
            for key, (rule, _) in chosen.items()
            if rule.kind == kind
        }
        high = [
            flags[key]
            for key, (rule, severity) in chosen.items()
            if rule.kind == kind == "risk"
            and rule.entity == "account"
            and severity == SEVERITIES[-1]
        ]
        if high:
            flags[ANY_HIGH_RISK] = np.logical_or.reduce(high)
        own = outcomes.filter(pl.col("outcome") == outcome)
        history = History(
            check_days=days,
            at_risk=at_risk,
            next_outcome=next_outcomes(
                own["account"].to_numpy(), own["day"].to_numpy(), len(at_risk), days
            ),
            observed_until=span.count - 1,
        )
        rows += [
            _row(key, kind, outcome, judged)
            for key, results in evaluate(history, flags).items()
            for judged in results
        ]
    columns = [column.name for column in tables.FLAG_PERFORMANCE.columns]
    if not rows:
        return empty
    return (
        pl.DataFrame(rows, infer_schema_length=None)
        .with_columns(as_of_date=pl.lit(as_of, dtype=pl.Date))
        .select(columns)
        .cast(empty.schema)
        .sort("flag_key", "horizon_days")
    )


def _row(key: str, kind: Kind, outcome: str, judged: Performance) -> dict[str, Any]:
    numbers = {name: getattr(judged, name) for name in judged.__slots__}
    return {"flag_key": key, "kind": kind, "outcome": outcome, **numbers}
