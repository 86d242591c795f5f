"""History: when a flag opens, closes and comes back, out of the days on which its condition held.

What belongs here: the life of a flag as a pure function of truth values per day. What does not:
what a flag is about, its evidence, tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

SEVERITIES = ("low", "medium", "high")
"""From the least to the most; a relapse is one step worse, and nothing is worse than high."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long a condition must hold, or not, until its flag follows.

    Attributes:
        min_days: A flag opens on the day on which its condition has held for so many days.
        close_after_days: It closes on the day on which the condition has not held for so many.
        cooldown_days: One that would open at most so many days after it closed goes on instead.
        severity: Index into SEVERITIES of a flag that opens anew.
    """

    min_days: int
    close_after_days: int
    cooldown_days: int
    severity: int

    @classmethod
    def of(cls, parameters: Mapping[str, Any], severity: str) -> "Persistence":
        """Read them from a rule's parameters."""
        return cls(
            min_days=int(parameters["min_days"]),
            close_after_days=int(parameters["close_after_days"]),
            cooldown_days=int(parameters["cooldown_days"]),
            severity=SEVERITIES.index(severity),
        )


@dataclass(frozen=True, slots=True)
class Episodes:
    """Every flag of one rule that ever opened, one place per flag, days and entities by index.

    Attributes:
        entity: Whose flag it is.
        opened: The day on which it opened first.
        closed: The day on which it closed last; -1 while it is open.
        open_days: On how many days it was open.
        relapses: How often it came back within the cool-down.
        severity: Index into SEVERITIES, on the last day.
    """

    entity: Indices
    opened: Indices
    closed: Indices
    open_days: Indices
    relapses: Indices
    severity: Indices


def follow(
    holds: Bools, applies: Bools, is_suspended: Bools, persistence: Persistence
) -> tuple[Episodes, npt.NDArray[np.uint8]]:
    """Open and close a rule's flags day by day.

    Args:
        holds: Shape (days, entities): the condition held on that day.
        applies: The same shape: the rule is about the entity on that day at all (a trial, a live
            customer). Where not, a flag closes at once.
        is_suspended: Shape (days,): days that say nothing; nothing opens, and counts stand still.
        persistence: How long is long enough.

    Returns:
        The flags, and per day and entity 0 where none is open, else its severity's index plus 1.
    """
    held = holds & applies
    working = ~is_suspended
    opens = _lasting(held, working, persistence.min_days)
    ever = np.flatnonzero(opens.any(axis=0))  # most entities never have most flags
    held, is_open, stays = held[:, ever], opens[:, ever], applies[:, ever]
    stays &= ~_lasting(~held, working, persistence.close_after_days)
    for day in range(1, len(is_open) if len(ever) else 0):  # no day both opens and closes
        is_open[day] |= is_open[day - 1] & stays[day]
    episodes, open_level = _episodes(is_open, persistence)
    level = np.zeros(holds.shape, dtype=np.uint8)
    level[:, ever] = open_level
    return replace(episodes, entity=ever[episodes.entity]), level


def _lasting(truth: Bools, working: Bools, days: int) -> Bools:
    """Say on which working days something has been true for so many of them in a row."""
    if working.all():
        return _lasts(truth, days)
    lasting = np.zeros_like(truth)
    lasting[working] = _lasts(truth[working], days)
    return lasting


def _lasts(truth: Bools, days: int) -> Bools:
    """Say on which days something has been true for so many days in a row."""
    lasts = truth.copy()
    reach = 1  # doubling: 2n days in a row are twice n days
    while reach < days:
        step = min(reach, days - reach)
        lasts[step:] &= lasts[:-step]
        lasts[:step] = False
        reach += step
    return lasts


def _episodes(is_open: Bools, persistence: Persistence) -> tuple[Episodes, npt.NDArray[np.int8]]:
    """Join stretches of open days to flags: one that begins within the cool-down goes on."""
    days, entities = is_open.shape
    padded = np.zeros((days + 2, entities), dtype=bool)
    padded[1:-1] = is_open
    begins, entity = _cells(padded[1:] & ~padded[:-1])
    ends, _ = _cells(padded[:-1] & ~padded[1:])  # the day after; of the same stretches

    is_new = np.ones(len(begins), dtype=bool)
    is_new[1:] = (entity[1:] != entity[:-1]) | (begins[1:] - ends[:-1] > persistence.cooldown_days)
    first = np.flatnonzero(is_new)
    last = np.append(first[1:], len(begins))[: len(first)] - 1
    relapse = np.arange(len(begins)) - first[np.cumsum(is_new) - 1]
    severity = np.minimum(persistence.severity + relapse, len(SEVERITIES) - 1)

    level = np.zeros((days + 1, entities), dtype=np.int8)
    level[begins, entity] = severity + 1
    level[ends, entity] = -severity - 1
    np.cumsum(level, axis=0, out=level)

    total = np.append(0, np.cumsum(ends - begins))
    order = np.argsort(begins[first], kind="stable")
    first, last = first[order], last[order]
    return Episodes(
        entity=entity[first],
        opened=begins[first],
        closed=np.where(ends[last] == days, -1, ends[last]),
        open_days=total[last + 1] - total[first],
        relapses=relapse[last],
        severity=severity[last],
    ), level[:days]


def _cells(truth: Bools) -> tuple[Indices, Indices]:
    """Give day and entity of every true cell, by entity and then by day."""
    day, entity = np.divmod(np.flatnonzero(truth), truth.shape[1])
    order = np.argsort(entity, kind="stable")
    return day[order], entity[order]
