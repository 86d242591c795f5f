"""Watch: apply every rule to every day of a block, and follow its flags.

What belongs here: how rules, facts and histories come together, for one block. What does not: what
a rule says, how a fact is computed, reading and writing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals.facts import Block, Entity, Fleet, account_days, levels_at, user_days
from orchestration.signals.flags import RULES, Rule, RuleDial
from orchestration.signals.history import SEVERITIES, Persistence, follow

OPEN_RISKS = "open_risk_level"
"""The fact that only other rules can tell."""


@dataclass(frozen=True)
class Watched:
    """What one rule found in a block.

    Attributes:
        rule: The rule.
        dial: Its row of `flag_rules.csv`.
        opened: One row per flag: the entity's keys, the facts of the day on which it opened,
            `opened_date`, `closed_date` (null: open), `days_open`, `relapse_count`, `severity`.
        level: Per day and entity 0 where no flag is open, else its severity's index plus 1.
    """

    rule: Rule
    dial: RuleDial
    opened: pl.DataFrame
    level: npt.NDArray[np.uint8]

    def without_days(self) -> "Watched":
        """The flags alone, which is little, when the days have been looked at."""
        return replace(self, level=self.level[:0])


def watch(block: Block, fleet: Fleet, entity: Entity, dials: Iterable[RuleDial]) -> list[Watched]:
    """Follow the flags of all enabled rules of an entity.

    Args:
        block: Accounts, with their users.
        fleet: What is the same for everybody.
        entity: Which rules to apply.
        dials: The rows of `flag_rules.csv`; rules without a row raise nothing.
    """
    frame = account_days(block, fleet) if entity == "account" else user_days(block, fleet)
    keys = block.keys if entity == "account" else block.users.keys
    shape = (block.span.count, keys.height)
    chosen = [
        (RULES[dial.flag_key], dial)
        for dial in dials
        if dial.is_enabled and RULES[dial.flag_key].entity == entity
    ]
    # Rules about open risks come last; they see what the others found.
    first = [(rule, dial) for rule, dial in chosen if OPEN_RISKS not in rule.judged]
    watched = _follow(block, fleet, frame, first)
    later = [(rule, dial) for rule, dial in chosen if OPEN_RISKS in rule.judged]
    if later:
        risks = [found.level for found in watched if found.rule.kind == "risk"]
        worst = np.maximum.reduce([np.zeros(shape, dtype=np.uint8), *risks])
        seen = frame.with_columns(pl.Series(OPEN_RISKS, np.ravel(worst).astype(np.int64)))
        watched += _follow(block, fleet, seen, later)
    return watched


def _follow(
    block: Block, fleet: Fleet, frame: pl.DataFrame, chosen: Sequence[tuple[Rule, RuleDial]]
) -> list[Watched]:
    if not chosen:
        return []
    entity = chosen[0][0].entity
    keys = block.keys if entity == "account" else block.users.keys
    shape = (block.span.count, keys.height)
    truths = _truths(frame, chosen)
    watched = []
    for rule, dial in chosen:
        holds, applies = (
            truths[f"{rule.key}:{part}"].to_numpy().reshape(shape) for part in ("holds", "applies")
        )
        suspended = fleet.is_suspended if rule.rests_on_usage else np.zeros(shape[0], dtype=bool)
        persistence = Persistence.of(rule.given(dial), dial.severity)
        episodes, level = follow(holds, applies, suspended, persistence)
        facts = frame[episodes.opened * shape[1] + episodes.entity]
        parts = [keys[episodes.entity], facts]
        if entity == "account":
            parts.append(levels_at(block, episodes.opened, episodes.entity))
        opened = pl.concat(parts, how="horizontal").with_columns(
            opened_date="as_of_date",
            closed_date=_dates(block, episodes.closed),
            days_open=pl.Series(episodes.open_days),
            relapse_count=pl.Series(episodes.relapses),
            severity=pl.Series([SEVERITIES[s] for s in episodes.severity], dtype=pl.String),
        )
        watched.append(Watched(rule, dial, opened, level))
    return watched


def _truths(frame: pl.DataFrame, chosen: Iterable[tuple[Rule, RuleDial]]) -> pl.DataFrame:
    looks: dict[str, pl.Expr] = {}
    for rule, dial in chosen:
        finding = rule.judge(rule.given(dial))
        looks[f"{rule.key}:holds"] = finding.condition.fill_null(value=False)
        looks[f"{rule.key}:applies"] = finding.scope.fill_null(value=False)
    return frame.select(**looks)


def _dates(block: Block, days: npt.NDArray[Any]) -> pl.Series:
    dates = pl.Series(block.span.dates[days])
    return dates.set(pl.Series(days < 0), None).cast(pl.Date)
