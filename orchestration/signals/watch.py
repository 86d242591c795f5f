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
    LEVELS,
    MOVERS,
    Block,
    Cells,
    Entity,
    Fact,
    Facts,
    Fleet,
    account_facts,
    frame_at,
    levels_at,
    user_facts,
)
from orchestration.signals.flags import RULES, Rule, RuleDial, roots
from orchestration.signals.history import SEVERITIES, Bools, Episodes, Persistence, follow

OPEN_RISKS = "open_risk_level"
"""The fact that only other rules can tell."""


@dataclass(frozen=True)
class Watched:
    """What one rule found in a block.

    Attributes:
        rule: The rule.
        dial: Its row of `flag_rules.csv`.
        opened: One row per flag: the entity's keys, of the facts of the day on which it opened
            those that the rule shows, `opened_date`, `closed_date` (null: open), `days_open`,
            `relapse_count`, `severity`.
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
    # Rules about open risks see what those before them found: risks the other risks, and then
    # opportunities all of them.
    about_risks = [(rule, dial) for rule, dial in chosen if OPEN_RISKS in rule.judged]
    turns = (
        [looked for looked in chosen if looked not in about_risks],
        [(rule, dial) for rule, dial in about_risks if rule.kind == "risk"],
        [(rule, dial) for rule, dial in about_risks if rule.kind == "opportunity"],
    )
    followed: list[Followed] = []
    watched: list[Watched] = []
    for turn in turns:
        found = _follow(block, fleet, facts, turn)
        watched += _opened(block, facts, found, entity)
        followed += found
        if entity == "account":
            facts[OPEN_RISKS] = _worst(block, followed)
    return watched


Followed = tuple[Rule, RuleDial, Episodes, npt.NDArray[np.uint8]]


def _worst(block: Block, followed: Sequence[Followed]) -> Fact:
    """The severest of the risks that were followed: 0 none, else its severity's index plus 1."""
    levels = [level for rule, _, _, level in followed if rule.kind == "risk"]
    nothing = np.zeros(block.presence.status.shape, dtype=np.uint8)
    worst = np.maximum.reduce([nothing, *levels])
    return lambda at: pl.Series(np.ravel(worst[at]).astype(np.int64))


@dataclass(frozen=True, slots=True)
class _Look:
    """A rule with its thresholds, as `flags.Finding` says it; null counts as no."""

    holds: pl.Expr
    rest: pl.Expr | None
    applies: pl.Expr
    asks: frozenset[str]
    asks_rest: frozenset[str]


def _look(rule: Rule, dial: RuleDial) -> _Look:
    return _look_with(rule.key, tuple(sorted(rule.given(dial).items())))


@cache
def _look_with(key: str, given: tuple[tuple[str, float], ...]) -> _Look:
    """Once for all blocks: to make expressions costs more than to look at a small block."""
    finding = RULES[key].judge(dict(given))
    return _Look(
        holds=(finding.scope & finding.first).fill_null(value=False),
        rest=None if finding.rest is None else finding.rest.fill_null(value=False).alias(key),
        applies=finding.scope.fill_null(value=False),
        asks=roots(finding.scope, finding.first),
        asks_rest=frozenset() if finding.rest is None else roots(finding.rest),
    )


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
    for rule, dial, look in looks:
        holds, applies = (
            truths[f"{rule.key}:{part}"].to_numpy(writable=True).reshape(len(never), -1)
            for part in ("holds", "applies")
        )
        if look.rest is not None:
            _leave_out(holds, look.rest, look.asks_rest, facts)
        suspended = fleet.is_suspended if rule.rests_on_usage else never
        persistence = Persistence.of(rule.given(dial), dial.severity)
        followed.append((rule, dial, *follow(holds, applies, suspended, persistence)))
    return followed


def _leave_out(holds: Bools, rest: pl.Expr, asks: Iterable[str], facts: Facts) -> None:
    """Of the cells that hold so far, keep those where the rest is true as well."""
    cells = np.flatnonzero(holds)
    if len(cells):
        is_true = frame_at(facts, asks, np.divmod(cells, holds.shape[1])).select(rest)
        holds.ravel()[cells] = is_true.to_series().to_numpy()


def _opened(
    block: Block, facts: Facts, followed: Sequence[Followed], entity: Entity
) -> list[Watched]:
    """Add what was known on the days on which flags opened."""
    keys = block.keys if entity == "account" else block.users.keys
    return [
        Watched(
            rule,
            dial,
            pl.concat(
                [
                    keys[episodes.entity],
                    *_shown(block, facts, rule, (episodes.opened, episodes.entity)),
                    pl.DataFrame(
                        {
                            "opened_date": _dates(block, episodes.opened),
                            "closed_date": _dates(block, episodes.closed),
                            "days_open": episodes.open_days,
                            "relapse_count": episodes.relapses,
                            "severity": pl.Series(
                                np.array(SEVERITIES)[episodes.severity], dtype=pl.String
                            ),
                        }
                    ),
                ],
                how="horizontal",
            ),
            level,
        )
        for rule, dial, episodes, level in followed
    ]


def _shown(block: Block, facts: Facts, rule: Rule, at: Cells) -> list[pl.DataFrame]:
    """What the rule shows of the days on which its flags opened; movers need the level's weeks."""
    names = [name for name in DAYS[rule.entity] if name in rule.shown or name == "as_of_date"]
    parts = [frame_at(facts, names, at)]
    if any(name in rule.shown for name in (*LEVELS, *MOVERS)):
        parts.append(levels_at(block, *at))
    return parts


def _dates(block: Block, days: npt.NDArray[Any]) -> pl.Series:
    dates = pl.Series(block.span.dates[days])
    return dates.set(pl.Series(days < 0), None).cast(pl.Date)
