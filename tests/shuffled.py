"""Flags and the ranking judged again, with outcomes shuffled between accounts: a negative control.

What belongs here: one pass over a whole warehouse, and its judgements with other outcomes. Which
warehouse, and what is to be expected, stands in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from orchestration.defs import signals
from orchestration.signals.churn_risk import ChurnRisk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import duckdb

    from orchestration.dials import Dials


class Judged:
    """What was seen on every check of a warehouse, ready to be judged by any outcomes.

    Args:
        connection: An open warehouse with the marts of the as-of date.
        as_of: The last day.
        dials: The rules.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, as_of: date, dials: Dials) -> None:
        """Go over the warehouse once, as a run does."""
        given: dict[str, Any] = {}

        def heard(name: str) -> Any:  # noqa: ANN401 - whichever function it is
            judge = getattr(signals, name)

            def judged(*arguments: Any) -> Any:  # noqa: ANN401 - as they come
                given[name] = arguments
                return judge(*arguments)

            return judged

        with pytest.MonkeyPatch.context() as patch:
            for name in ("judge_flags", "tell_churn_risk"):
                patch.setattr(signals, name, heard(name))
            self.built = signals.build_flags(connection, as_of, dials)
        self.checked, self.chosen, self.outcomes, self.span, self.as_of = given["judge_flags"]
        self.ranked = given["tell_churn_risk"][0]
        self.account_ids = ChurnRisk(self.ranked, self.span).account_ids.to_list()

    def shuffled(self, among: Sequence[object], seed: int) -> pl.DataFrame:
        """Deal the outcomes anew between accounts that have the same value in `among`."""
        rng = np.random.default_rng(seed)
        receiver = np.arange(len(self.account_ids))
        kind = np.unique([str(value) for value in among], return_inverse=True)[1]
        for number in range(int(kind.max()) + 1):
            members = np.flatnonzero(kind == number)
            receiver[members] = rng.permutation(members)
        dealt = receiver[self.outcomes["account"].to_numpy()]
        return self.outcomes.with_columns(account=dealt).sort("account", "day", "outcome")

    def verdicts(self, outcomes: pl.DataFrame) -> pl.DataFrame:
        """Judge every flag by these outcomes: the rows of `flag_performance`."""
        return signals.judge_flags(self.checked, self.chosen, outcomes, self.span, self.as_of)

    def rankings(self, outcomes: pl.DataFrame) -> pl.DataFrame:
        """Judge both rankings by these outcomes: the rows of `risk_ranking_performance`."""
        told = signals.tell_churn_risk(self.ranked, outcomes, self.span, self.as_of)
        return told["risk_ranking_performance"]


def finds_nothing(judged: Judged, outcomes: pl.DataFrame) -> bool:
    """Whether no flag works and no model ranks by these outcomes."""
    rankings = judged.rankings(outcomes)
    return (
        "works" not in judged.verdicts(outcomes)["verdict"]
        and "model" not in rankings.filter(pl.col("is_shown"))["ranking"]
    )
