"""History: when a flag opens, closes and comes back, out of the days on which its condition held.

What belongs here: the life of a flag as a pure function of truth values per day. What does not:
what a flag is about, its evidence, tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

SEVERITIES = ("low", "medium", "high")
"""From the least to the most; a relapse is one step worse, and nothing is worse than high."""

NEVER = -1_000_000
"""The index of a day that lies before every cool-down."""


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
    days, entities = holds.shape
    is_open = np.zeros((days, entities), dtype=np.uint8)
    level = np.zeros(entities, dtype=np.uint8)
    held = np.zeros(entities, dtype=np.int32)
    missed = np.zeros(entities, dtype=np.int32)
    closed_on = np.full(entities, NEVER, dtype=np.int64)
    current = np.full(entities, -1, dtype=np.int64)
    book = _Book()
    for day in range(days):
        gone = ~applies[day] & (level > 0)
        if not is_suspended[day]:
            holding = holds[day] & applies[day]
            held += 1
            held *= holding
            missed += 1
            missed *= ~holding
            gone |= (level > 0) & (missed >= persistence.close_after_days)
        closing = np.flatnonzero(gone)
        if len(closing):
            book.close(current[closing], day)
            level[closing] = 0
            closed_on[closing] = day
        if not is_suspended[day]:
            opening = np.flatnonzero((level == 0) & (held >= persistence.min_days))
            if len(opening):
                is_back = day - closed_on[opening] <= persistence.cooldown_days
                back, new = opening[is_back], opening[~is_back]
                book.reopen(current[back], day)
                current[new] = book.open(new, day, persistence.severity)
                level[opening] = book.severity[current[opening]] + 1
        is_open[day] = level
    return book.finished(days), is_open


class _Book:
    """The flags written down so far; arrays grow as needed."""

    def __init__(self) -> None:
        self.count = 0
        self.entity, self.opened, self.closed, self.since, self.open_days = (
            np.empty(0, dtype=np.int64) for _ in range(5)
        )
        self.relapses, self.severity = (np.empty(0, dtype=np.int64) for _ in range(2))

    def open(self, entities: Indices, day: int, severity: int) -> Indices:
        places = np.arange(self.count, self.count + len(entities))
        self.count += len(entities)
        if self.count > len(self.entity):
            for name in ("entity", "opened", "closed", "since", "open_days", "relapses"):
                self._grow(name)
            self._grow("severity")
        self.entity[places] = entities
        self.opened[places] = self.since[places] = day
        self.closed[places] = -1
        self.open_days[places] = self.relapses[places] = 0
        self.severity[places] = severity
        return places

    def _grow(self, name: str) -> None:
        old = getattr(self, name)
        new = np.empty(2 * self.count, dtype=np.int64)
        new[: len(old)] = old
        setattr(self, name, new)

    def close(self, places: Indices, day: int) -> None:
        self.closed[places] = day
        self.open_days[places] += day - self.since[places]

    def reopen(self, places: Indices, day: int) -> None:
        self.closed[places] = -1
        self.since[places] = day
        self.relapses[places] += 1
        self.severity[places] = np.minimum(self.severity[places] + 1, len(SEVERITIES) - 1)

    def finished(self, days: int) -> Episodes:
        kept = slice(0, self.count)
        is_open = self.closed[kept] < 0
        open_days = self.open_days[kept] + np.where(is_open, days - self.since[kept], 0)
        return Episodes(
            entity=self.entity[kept],
            opened=self.opened[kept],
            closed=self.closed[kept],
            open_days=open_days,
            relapses=self.relapses[kept],
            severity=self.severity[kept],
        )
