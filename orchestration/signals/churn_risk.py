"""Churn risk: who could leave next, what the ranking looks at, and how it is told as two tables.

What belongs here: which accounts are ranked, their measures from a block's facts, the rows of
`account_churn_risk` and `risk_ranking_performance`. What does not: the model, its judgement and the
sentences, which are `ranking`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals import tables
from orchestration.signals.facts import MILLIONTHS, NO_DAY, UNKNOWN, Block, Fleet, Span
from orchestration.signals.performance import History, next_outcomes
from orchestration.signals.ranking import (
    LEARNS_WITH,
    MIN_DEPARTURES,
    MIN_HISTORY_DAYS,
    MIN_LESSONS,
    Inputs,
    Judgement,
    Measures,
    Ranking,
    against_peers,
    fit,
    forward_scores,
    is_worth_learning,
    judge,
    own_features,
    rank_accounts,
    stable_folds,
    told_facts,
)
from orchestration.signals.track_record import OUTCOMES, can_leave, check_days, gathered

Array = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]

FEATURE_DAYS = 28
"""The breadth of use counts the product features that were used in so many days."""


def ranked_days(span: Span) -> npt.NDArray[np.int64]:
    """Give the indices of the days on which accounts are ranked: the checks, and the last day."""
    return np.union1d(check_days(span), [span.count - 1])


@dataclass(frozen=True)
class Ranked:
    """What a block's accounts show on the ranked days, arrays of shape (accounts, ranked days).

    Attributes:
        account: Number of each account in the fleet.
        account_ids: One per row.
        own: The model's features without their peers, shape (accounts, ranked days, features).
        at_risk: The account could leave, see `can_leave`.
        active_days: Active days among the last 14.
        history_days: Days since the first active one.
        group: Peer group.
        facts: What reasons tell, of the last day.
    """

    account: Array
    account_ids: pl.Series
    own: Inputs
    at_risk: Bools
    active_days: Array
    history_days: Array
    group: Array
    facts: pl.DataFrame


def look(block: Block, fleet: Fleet, feature_count: Array) -> Ranked:
    """Measure a block's accounts on the ranked days.

    Args:
        block: The accounts.
        fleet: What is the same for everybody.
        feature_count: Product features used in FEATURE_DAYS, shape (accounts, ranked days); the
            days of the whole fleet, which end where the block's do.
    """
    days = ranked_days(block.span)
    presence = block.presence
    dates = block.span.dates
    started = block.dates["contract_started_date"][days].T
    has_contract = started != NO_DAY
    since = np.where(has_contract, started, dates[0] + block.first_seen[:, None])
    readiness = block.numbers["readiness_rate"][days].T
    measures = Measures(
        use=presence.against(fleet.calendar, days),
        readiness=np.where(readiness == UNKNOWN, np.nan, readiness / MILLIONTHS),
        feature_count=feature_count[:, -len(days) :],
        contract_days=dates[days] - since,
        has_contract=has_contract,
        group=presence.plan[days].T,
    )
    return Ranked(
        account=block.account,
        account_ids=block.keys["account_id"],
        own=own_features(measures),
        at_risk=can_leave(block, days),
        active_days=measures.use.active_days.astype(np.int16),
        history_days=measures.use.history_days.astype(np.int32),
        group=measures.group,
        facts=told_facts(measures),
    )


def get_ready(outcomes: pl.DataFrame) -> None:
    """Import what learns while facts are read, if there may be enough departures to learn from.

    Args:
        outcomes: `account` (number), `day` (index) and `outcome` (of OUTCOMES).
    """
    left = outcomes.filter(pl.col("outcome") == OUTCOMES["risk"])
    if left["account"].n_unique() >= MIN_LESSONS + MIN_DEPARTURES:
        Thread(target=import_module, args=(LEARNS_WITH,), daemon=True).start()


class ChurnRisk:
    """The whole fleet on the ranked days.

    Args:
        parts: What `look` gave.
        span: The days.
    """

    def __init__(self, parts: list[Ranked], span: Span) -> None:
        """Hold every account against its peers."""
        self.span = span
        days = ranked_days(span)

        def whole(name: str) -> npt.NDArray[Any]:
            return gathered(((part.account, getattr(part, name)) for part in parts), len(days))

        order = np.argsort(np.concatenate([part.account for part in parts]))
        self.account_ids = pl.concat([part.account_ids for part in parts])[order]
        self.facts = pl.concat([part.facts for part in parts])[order]
        self.at_risk, self.active_days = whole("at_risk"), whole("active_days")
        self.history_days = whole("history_days")
        peers = self.at_risk & (self.history_days >= MIN_HISTORY_DAYS)
        self.features = against_peers(whole("own"), peers, whole("group"))
        self.is_check = np.isin(days, check_days(span))

    def history(self, outcomes: pl.DataFrame) -> History:
        """Say which checks were followed by a departure.

        Args:
            outcomes: `account` (number), `day` (index) and `outcome` (of OUTCOMES).
        """
        days = check_days(self.span)
        left = outcomes.filter(pl.col("outcome") == OUTCOMES["risk"])
        return History(
            check_days=days,
            at_risk=self.at_risk[:, self.is_check],
            next_outcome=next_outcomes(
                left["account"].to_numpy(), left["day"].to_numpy(), len(self.at_risk), days
            ),
            observed_until=self.span.count - 1,
        )

    def judged(self, history: History) -> Judgement:
        """Compare the model with the ranking by active days, forward in time."""
        scores = np.full(history.at_risk.shape, np.nan)
        if is_worth_learning(history):
            scores = forward_scores(
                history,
                self.features[:, self.is_check],
                self.history_days[:, self.is_check],
                stable_folds(self.account_ids.to_list()),
            )
        return judge(history, scores, self.active_days[:, self.is_check])

    def ranking(self, history: History, judgement: Judgement) -> Ranking:
        """Rank the accounts on the last day, as the judgement says."""
        model = None
        if judgement.method == "model":
            known = self.features[:, self.is_check]
            model = fit(history, known, self.history_days[:, self.is_check], self.span.count - 1)
        return rank_accounts(
            judgement.method, model, self.facts, self.features[:, -1], self.at_risk[:, -1]
        )


def tell_churn_risk(
    parts: list[Ranked], outcomes: pl.DataFrame, span: Span, as_of: date
) -> dict[str, pl.DataFrame]:
    """Rank the accounts, and say how good that ranking was.

    Args:
        parts: What `look` gave.
        outcomes: `account` (number), `day` (index) and `outcome` (of OUTCOMES).
        span: The days.
        as_of: The last day.

    Returns:
        The rows of `account_churn_risk` and `risk_ranking_performance`, by name.
    """
    risk, performance = tables.ACCOUNT_CHURN_RISK, tables.RISK_RANKING_PERFORMANCE
    empty = {table.name: tables.frame_of(table) for table in (risk, performance)}
    if not parts:
        return empty
    fleet = ChurnRisk(parts, span)
    history = fleet.history(outcomes)
    judgement = fleet.judged(history)
    ranking = fleet.ranking(history, judgement)
    rows = {
        risk.name: pl.DataFrame(
            {
                "account_id": fleet.account_ids,
                "ranking": pl.repeat(ranking.method, len(ranking.rank), eager=True),
                "first_reason": [_nth(reasons, 0) for reasons in ranking.reasons],
                "second_reason": [_nth(reasons, 1) for reasons in ranking.reasons],
                "churn_risk_rate": pl.Series(ranking.rate, nan_to_null=True),
                "churn_risk_rank": ranking.rank,
            },
            schema_overrides={"first_reason": pl.String, "second_reason": pl.String},
        ).filter(pl.col("churn_risk_rank") > 0),
        performance.name: pl.DataFrame(list(_rows(judgement)), infer_schema_length=None),
    }
    return {
        table.name: rows[table.name]
        .with_columns(as_of_date=pl.lit(as_of, dtype=pl.Date))
        .select(empty[table.name].columns)
        .cast(empty[table.name].schema)
        .sort(*table.key)
        for table in (risk, performance)
    }


def _nth(reasons: tuple[str, ...], place: int) -> str | None:
    return reasons[place] if place < len(reasons) else None


def _rows(judgement: Judgement) -> Iterator[dict[str, Any]]:
    for result in judgement.performances:
        score = result.score
        yield {
            "ranking": result.method,
            "verdict": result.verdict,
            "reason": judgement.why,
            "horizon_days": result.horizon_days,
            "checked_count": result.checked_count,
            "account_count": result.account_count,
            "outcome_count": result.outcome_count,
            "outcome_account_count": result.outcome_account_count,
            "base_rate": (
                result.outcome_count / result.checked_count if result.checked_count else None
            ),
            "auc": score and score.auc,
            "auc_low": score and score.auc_low,
            "auc_high": score and score.auc_high,
            "top_decile_precision": score and score.precision,
            "top_decile_recall": score and score.recall,
            "top_decile_lift": score and score.lift,
            "top_decile_lift_low": score and score.lift_low,
            "top_decile_lift_high": score and score.lift_high,
            "is_shown": result.method == judgement.method,
        }
