"""Watch: apply every rule to every day of a block, and follow its flags.

What belongs here: how rules, facts and histories come together, for one block. What does not: what
a rule says, how a fact is computed, reading and writing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals.facts import (
    DAYS,
    Block,
    Entity,
    Facts,
    Fleet,
    account_facts,
    frame_at,
    levels_at,
    user_facts,
)
from orchestration.signals.flags import RULES, Rule, RuleDial
from orchestration.signals.history import SEVERITIES, Episodes, Persistence, follow

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
        return replace(self, level=np.empty((0, 0), dtype=np.uint8))


def watch(block: Block, fleet: Fleet, entity: Entity, dials: Iterable[RuleDial]) -> list[Watched]:
    """Follow the flags of all enabled rules of an entity.

    Args:
        block: Accounts, with their users.
        fleet: What is the same for everybody.
        entity: Which rules to apply.
        dials: The rows of `flag_rules.csv`; rules without a row raise nothing.
    """
    facts = account_facts(block, fleet) if entity == "account" else user_facts(block, fleet)
    chosen = [
        (RULES[dial.flag_key], dial)
        for dial in dials
        if dial.is_enabled and RULES[dial.flag_key].entity == entity
    ]
    # Rules about open risks come last; they see what the others found.
    first = [(rule, dial) for rule, dial in chosen if OPEN_RISKS not in _look(rule, dial).asks]
    later = [(rule, dial) for rule, dial in chosen if OPEN_RISKS in _look(rule, dial).asks]
    followed = _follow(block, fleet, facts, first)
    if entity == "account":
        levels = [level for rule, _, _, level in followed if rule.kind == "risk"]
        nothing = np.zeros(block.presence.status.shape, dtype=np.uint8)
        worst = np.maximum.reduce([nothing, *levels])
        facts[OPEN_RISKS] = lambda at: pl.Series(np.ravel(worst[at]).astype(np.int64))
    followed += _follow(block, fleet, facts, later)
    return _opened(block, facts, followed, entity)


Followed = tuple[Rule, RuleDial, Episodes, npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class _Look:
    """A rule with its thresholds: when it holds, whom it is about, which facts both ask for."""

    holds: pl.Expr
    applies: pl.Expr
    asks: frozenset[str]


def _look(rule: Rule, dial: RuleDial) -> _Look:
    return _look_with(rule.key, tuple(sorted(rule.given(dial).items())))


@cache
def _look_with(key: str, given: tuple[tuple[str, float], ...]) -> _Look:
    """Once for all blocks: to make expressions costs more than to look at a small block."""
    finding = RULES[key].judge(dict(given))
    holds, applies = (look.fill_null(value=False) for look in (finding.condition, finding.scope))
    asks = frozenset((*holds.meta.root_names(), *applies.meta.root_names()))
    return _Look(holds, applies, asks)


def _follow(
    block: Block, fleet: Fleet, facts: Facts, chosen: Iterable[tuple[Rule, RuleDial]]
) -> list[Followed]:
    looks = [(rule, dial, _look(rule, dial)) for rule, dial in chosen]
    frame = frame_at(facts, {name for _, _, look in looks for name in look.asks})
    # Lazily: polars then works out only once what several rules share.
    query = frame.lazy().select(
        expression.alias(f"{rule.key}:{part}")
        for rule, _, look in looks
        for part, expression in (("holds", look.holds), ("applies", look.applies))
    )
    truths = query.collect()
    never = np.zeros(block.span.count, dtype=bool)
    followed = []
    for rule, dial, _ in looks:
        holds, applies = (
            truths[f"{rule.key}:{part}"].to_numpy().reshape(len(never), -1)
            for part in ("holds", "applies")
        )
        suspended = fleet.is_suspended if rule.rests_on_usage else never
        persistence = Persistence.of(rule.given(dial), dial.severity)
        followed.append((rule, dial, *follow(holds, applies, suspended, persistence)))
    return followed


def _opened(
    block: Block, facts: Facts, followed: Sequence[Followed], entity: Entity
) -> list[Watched]:
    """Add what was known on the days on which flags opened."""
    if not followed:
        return []
    keys = block.keys if entity == "account" else block.users.keys
    day, who, closed, days_open, relapses, severity = (
        np.concatenate([getattr(episodes, name) for _, _, episodes, _ in followed])
        for name in ("opened", "entity", "closed", "open_days", "relapses", "severity")
    )
    parts = [keys[who], frame_at(facts, DAYS[entity], (day, who))]
    if entity == "account":
        parts.append(levels_at(block, day, who))
    opened = pl.concat(parts, how="horizontal").with_columns(
        opened_date="as_of_date",
        closed_date=_dates(block, closed),
        days_open=pl.Series(days_open),
        relapse_count=pl.Series(relapses),
        severity=pl.Series(np.array(SEVERITIES)[severity], dtype=pl.String),
    )
    ends = np.cumsum([len(episodes.opened) for _, _, episodes, _ in followed]).tolist()
    return [
        Watched(rule, dial, opened[start:end], level)
        for (rule, dial, _, level), start, end in zip(followed, [0, *ends], ends, strict=False)
    ]


def _dates(block: Block, days: npt.NDArray[Any]) -> pl.Series:
    dates = pl.Series(block.span.dates[days])
    return dates.set(pl.Series(days < 0), None).cast(pl.Date)
