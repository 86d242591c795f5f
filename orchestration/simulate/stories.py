"""The stories that made-up accounts live: how much they use the product when, what they sign when.

A story is a function of the number of days and a random generator; its `Life` is counted in days
of the simulated history (0 = first day, may be negative for contracts that are older). People,
names and events belong to the other modules.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from numpy.random import Generator

YEAR = 365
THREE_MONTHS = 92
LONG_HISTORY = 100
"""Days of history that a story about trends needs before its flags are promised."""

FALLING = "falling_engagement"
QUIET_FLAGS = ("falling_engagement", "dormant", "value_drift", "champion_gone")
"""Flags that an account without any such story must not get."""

OFFICE, WEEKEND, SHOW_DAY, EVERY_DAY = range(4)
RHYTHMS = {
    OFFICE: (1.05, 1.1, 1.1, 1.05, 0.85, 0.12, 0.08),
    WEEKEND: (0.6, 0.6, 0.7, 0.8, 1.2, 1.6, 1.4),
    SHOW_DAY: (0.5, 0.6, 0.9, 2.4, 0.6, 0.1, 0.1),
    EVERY_DAY: (1.1, 1.1, 1.1, 1.1, 1.0, 0.8, 0.8),
}
"""Activity by weekday, Monday first, per rhythm."""


class Phase(NamedTuple):
    """A stretch of days with a level of activity that moves linearly, and a mix of events."""

    first_day: int
    last_day: int
    level_from: float
    level_to: float
    mix: str


@dataclass
class Life:
    """One account's life.

    Attributes:
        phases: activity; no phase = silence.
        paid_day: start of the (first) contract, negative when older than the history.
        trial: first and last day of the trial.
        canceled_day: when it cancels; signed_again_day: when it comes back.
        upgrade: day, factor on seats.
        users: fewest and most users.
        intensity: activity per user against other accounts; spread: how far chance moves it.
        fullness: users per seat at the end.
        first_user_share: share of the activity that the first user has; None = no such user.
        first_user_last_day: the day on which the first user falls silent.
        adoption: share of the mix's features that each user tries.
        dates: what happened when, by name, for the truths.
        expected: flags that the story promises on the last day.
        calm: flags that must not be open on the last day.
    """

    phases: list[Phase]
    paid_day: int | None = None
    trial: tuple[int, int] | None = None
    canceled_day: int | None = None
    signed_again_day: int | None = None
    upgrade: tuple[int, float] | None = None
    contract_ends_in: int | None = None
    users: tuple[int, int] = (4, 150)
    intensity: float = 1.0
    spread: float = 0.3
    rhythm: int = OFFICE
    fullness: float = 0.7
    first_user_share: float | None = None
    first_user_last_day: int | None = None
    adoption: float = 0.75
    turnover: bool = True
    dates: dict[str, int] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    expected_of_first_user: list[str] = field(default_factory=list)
    calm: tuple[str, ...] = ()

    @property
    def first_day(self) -> int:
        """The first day of the history on which the account exists."""
        return self.trial[0] if self.trial else max(self.paid_day or 0, 0)


def _between(draw: Generator, low: int, high: int) -> int:
    """A whole number from low to high, both possible; low where the range is empty."""
    return int(draw.integers(low, max(high, low) + 1))


def _chance(draw: Generator, probability: float) -> bool:
    return bool(draw.random() < probability)


def _old_contract(draw: Generator) -> int:
    return -_between(draw, 40, 900)


def _promised(last: int, *flags: str) -> list[str]:
    return list(flags) if last >= LONG_HISTORY else []


def golden(draw: Generator, last: int) -> Life:
    """The biggest account: uploads every day and leaves the product's value untouched."""
    del draw
    return Life(
        [Phase(0, last, 1.0, 1.0, "uploads")],
        paid_day=-210,
        intensity=2.4,
        spread=0.0,
        rhythm=EVERY_DAY,
        adoption=1.0,
        turnover=False,
        fullness=0.9,
        expected=["high_engagement_low_activation"],
    )


def steady(draw: Generator, last: int) -> Life:
    """Uses everything, week after week."""
    return Life(
        [Phase(0, last, 1.0, 1.0, "full")],
        paid_day=_old_contract(draw),
        first_user_share=0.3 if _chance(draw, 0.3) else None,
        calm=QUIET_FLAGS,
    )


def classic(draw: Generator, last: int) -> Life:
    """Steady, without the newer features."""
    return Life(
        [Phase(0, last, 1.0, 1.0, "classic")], paid_day=_old_contract(draw), calm=QUIET_FLAGS
    )


def growing(draw: Generator, last: int) -> Life:
    """More every month."""
    return Life([Phase(0, last, 0.5, 1.6, "full")], paid_day=_old_contract(draw), calm=QUIET_FLAGS)


def quiet(draw: Generator, last: int) -> Life:
    """Little, but always."""
    return Life(
        [Phase(0, last, 0.35, 0.35, "full")],
        paid_day=_old_contract(draw),
        users=(3, 10),
        turnover=False,
        calm=QUIET_FLAGS,
    )


def seasonal(draw: Generator, last: int) -> Life:
    """Lives by the week: one show day, or the weekends."""
    return Life(
        [Phase(0, last, 1.0, 1.0, "full")],
        paid_day=_old_contract(draw),
        rhythm=SHOW_DAY if _chance(draw, 0.5) else WEEKEND,
        turnover=False,
        calm=QUIET_FLAGS,
    )


def tiny(draw: Generator, last: int) -> Life:
    """Two or three people, a few events a week."""
    return Life(
        [Phase(0, last, 0.4, 0.4, "full")],
        paid_day=_old_contract(draw),
        users=(2, 3),
        adoption=1.0,
        turnover=False,
        calm=QUIET_FLAGS,
    )


def single_user(draw: Generator, last: int) -> Life:
    """One person is the account."""
    return Life(
        [Phase(0, last, 1.2, 1.2, "full")],
        paid_day=_old_contract(draw),
        users=(1, 1),
        turnover=False,
        fullness=1.0,
        calm=("champion_gone", "dormant"),
    )


def fading(draw: Generator, last: int) -> Life:
    """Steady for long, then less every week until today; it has not cancelled yet."""
    start = max(last - _between(draw, 28, 42), 0)
    low = max(last - 12, start + 1)
    return Life(
        [
            Phase(0, start - 1, 1.0, 1.0, "full"),
            Phase(start, low - 1, 0.9, 0.15, "thin"),
            Phase(low, last, 0.15, 0.05, "thin"),
        ],
        paid_day=_old_contract(draw),
        users=(8, 40),
        turnover=False,
        contract_ends_in=_between(draw, 120, 300),
        dates={"fades_from": start},
        expected=_promised(last, FALLING),
    )


def fading_before_renewal(draw: Generator, last: int) -> Life:
    """Fades while its contract is about to end."""
    life = fading(draw, last)
    life.contract_ends_in = _between(draw, 15, 80)
    life.expected += _promised(last, "renewal_at_risk")
    return life


def churned(draw: Generator, last: int) -> Life:
    """Faded over weeks, then cancelled."""
    canceled = _between(draw, min(45, last), last - 2)
    start = max(canceled - _between(draw, 24, 56), 0)
    return Life(
        [Phase(0, start - 1, 1.0, 1.0, "full"), Phase(start, canceled, 1.0, 0.08, "thin")],
        paid_day=_old_contract(draw),
        canceled_day=canceled,
        dates={"fades_from": start, "canceled": canceled},
    )


def churned_suddenly(draw: Generator, last: int) -> Life:
    """Cancelled without any sign before."""
    canceled = _between(draw, min(30, last), last - 2)
    return Life(
        [Phase(0, canceled, 1.0, 1.0, "full" if _chance(draw, 0.5) else "classic")],
        paid_day=_old_contract(draw),
        canceled_day=canceled,
        dates={"canceled": canceled},
    )


def recovered(draw: Generator, last: int) -> Life:
    """Dipped for three weeks in the middle of the history and came back."""
    start = _between(draw, last // 4, last // 2)
    end = min(start + 20, last)
    return Life(
        [
            Phase(0, start - 1, 1.0, 1.0, "full"),
            Phase(start, end, 0.5, 0.25, "full"),
            Phase(end + 1, last, 1.0, 1.0, "full"),
        ],
        paid_day=_old_contract(draw),
        turnover=False,
        dates={"dips_from": start, "dips_to": end},
        calm=QUIET_FLAGS if last - end >= LONG_HISTORY else (),
    )


def returned(draw: Generator, last: int) -> Life:
    """Cancelled, and signed again three months later."""
    canceled = min(_between(draw, last // 5, last // 3), last - THREE_MONTHS - 10)
    again = canceled + THREE_MONTHS
    return Life(
        [
            Phase(0, canceled, 1.0, 0.5, "classic"),
            Phase(max(again, 0), last, 0.8, 1.0, "full"),
        ],
        paid_day=canceled - _between(draw, 200, 600),
        canceled_day=canceled,
        signed_again_day=again,
        turnover=False,
        dates={"canceled": canceled, "signed_again": again},
    )


def drifting(draw: Generator, last: int) -> Life:
    """Uses as much as ever, but has stopped using what the product is valued for."""
    start = max(last - _between(draw, 36, 50), 0)
    return Life(
        [Phase(0, start - 1, 1.0, 1.0, "full"), Phase(start, last, 1.2, 1.2, "classic")],
        paid_day=_old_contract(draw),
        users=(6, 40),
        intensity=1.2,
        turnover=False,
        dates={"drifts_from": start},
        expected=_promised(last, "value_drift"),
        calm=("dormant",),
    )


def champion_gone(draw: Generator, last: int) -> Life:
    """The user with most of the activity falls silent, the others go on."""
    silent = max(last - _between(draw, 15, 22), 1)
    return Life(
        [Phase(0, last, 1.2, 1.2, "full")],
        paid_day=_old_contract(draw),
        users=(6, 16),
        first_user_share=0.62,
        first_user_last_day=silent - 1,
        turnover=False,
        dates={"champion_silent_from": silent},
        expected=_promised(last, "champion_gone"),
        calm=("dormant",),
    )


def stalled(draw: Generator, last: int) -> Life:
    """Signed more than half a year ago, still uses half of the product."""
    return Life(
        [Phase(0, last, 0.7, 0.7, "half")],
        paid_day=last - _between(draw, 185, 330),
        users=(8, 30),
        adoption=0.6,
        expected=["stalled_activation"],
    )


def dormant(draw: Generator, last: int) -> Life:
    """Pays, and has been silent for more than a month."""
    silent = max(last - _between(draw, 33, 50), 1)
    fades = max(silent - 12, 0)
    return Life(
        [Phase(0, fades - 1, 0.8, 0.8, "full"), Phase(fades, silent - 1, 0.8, 0.3, "thin")],
        paid_day=_old_contract(draw),
        users=(3, 15),
        turnover=False,
        dates={"silent_from": silent},
        expected=["dormant"] if last >= LONG_HISTORY else [],
    )


def trial_ready(draw: Generator, last: int) -> Life:
    """A trial that has done everything and has days left: sales should call."""
    start = max(last - _between(draw, 11, 16), 0)
    end = last + _between(draw, 3, 9)
    return Life(
        [Phase(start, last, 2.0, 2.4, "full")],
        trial=(start, end),
        users=(10, 22),
        intensity=3.2,
        spread=0.1,
        adoption=1.0,
        turnover=False,
        first_user_share=0.3,
        dates={"trial_from": start, "trial_to": end},
        expected=["trial_ready_for_sales"],
        calm=QUIET_FLAGS,
    )


def trial_stalled(draw: Generator, last: int) -> Life:
    """A trial past its middle that never got going."""
    start = max(last - _between(draw, 16, 22), 0)
    end = max(start + 28, last + 2)
    return Life(
        [
            Phase(start, min(start + 3, last), 0.7, 0.4, "poor"),
            Phase(start + 4, last, 0.2, 0.1, "poor"),
        ],
        trial=(start, end),
        users=(2, 5),
        adoption=0.5,
        turnover=False,
        dates={"trial_from": start, "trial_to": end},
        expected=["trial_stalled"] if last - start >= 14 else [],  # noqa: PLR2004 half a trial
    )


def trial_new(draw: Generator, last: int) -> Life:
    """A trial of the last days."""
    start = max(last - _between(draw, 1, 5), 0)
    end = start + _between(draw, 14, 30)
    return Life(
        [Phase(start, last, 0.8, 1.0, "full")],
        trial=(start, end),
        users=(1, 5),
        adoption=0.3,
        turnover=False,
        dates={"trial_from": start, "trial_to": end},
        calm=QUIET_FLAGS,
    )


def trial_expired(draw: Generator, last: int) -> Life:
    """A trial that ended without a contract."""
    length = _between(draw, 14, 30)
    start = _between(draw, 0, last - length - 2)
    end = min(start + length, max(last - 1, 0))
    return Life(
        [Phase(start, max(end - 3, start), 0.9, 0.1, "poor")],
        trial=(start, end),
        users=(1, 6),
        adoption=0.4,
        turnover=False,
        dates={"trial_from": start, "trial_to": end},
    )


def trial_converted(draw: Generator, last: int) -> Life:
    """A trial that became a contract within the history and goes on well."""
    start = _between(draw, 0, last - 40)
    length = _between(draw, 14, 30)
    paid = min(start + _between(draw, 9, length), last)
    return Life(
        [Phase(start, paid, 0.9, 1.5, "full"), Phase(paid + 1, last, 1.2, 1.2, "full")],
        trial=(start, start + length),
        paid_day=paid,
        users=(3, 25),
        adoption=0.95,
        dates={"trial_from": start, "trial_to": start + length, "converted": paid},
    )


def expanded(draw: Generator, last: int) -> Life:
    """Grew, and bought more seats within the history."""
    upgraded = _between(draw, last // 2, last - 15)
    return Life(
        [
            Phase(0, last // 3, 0.6, 0.7, "full"),
            Phase(last // 3 + 1, upgraded, 0.7, 1.6, "full"),
            Phase(upgraded + 1, last, 1.6, 1.7, "full"),
        ],
        paid_day=_old_contract(draw),
        upgrade=(upgraded, 1.6),
        adoption=0.95,
        dates={"expanded": upgraded},
        calm=QUIET_FLAGS,
    )


def reduced(draw: Generator, last: int) -> Life:
    """Gave seats back."""
    lowered = _between(draw, last // 3, last - 15)
    return Life(
        [Phase(0, lowered, 1.0, 0.8, "classic"), Phase(lowered + 1, last, 0.6, 0.6, "classic")],
        paid_day=_old_contract(draw),
        upgrade=(lowered, 0.6),
        dates={"reduced": lowered},
    )


def upsell_ready(draw: Generator, last: int) -> Life:
    """Uses everything, more every week, and its seats are nearly full."""
    start = max(last - 63, 0)
    return Life(
        [Phase(0, start - 1, 0.8, 0.8, "full"), Phase(start, last, 0.8, 2.2, "full")],
        paid_day=_old_contract(draw),
        users=(8, 30),
        adoption=1.0,
        turnover=False,
        fullness=0.96,
        dates={"rises_from": start},
        expected=_promised(last, "upsell_ready"),
        calm=QUIET_FLAGS,
    )


def advocate(draw: Generator, last: int) -> Life:
    """High for months, everything in use, with a champion: a reference customer."""
    return Life(
        [Phase(0, last, 1.8, 1.8, "full")],
        paid_day=-_between(draw, 300, 900),
        users=(15, 45),
        intensity=1.6,
        adoption=1.0,
        turnover=False,
        first_user_share=0.22,
        contract_ends_in=_between(draw, 120, 300),
        expected=_promised(last, "social_proof"),
        expected_of_first_user=["champion"],
        calm=QUIET_FLAGS,
    )


STORIES: list[tuple[Callable[[Generator, int], Life], float]] = [
    (golden, 0.0),
    (steady, 20.0),
    (fading, 4.0),
    (trial_ready, 3.0),
    (stalled, 3.0),
    (dormant, 3.0),
    (churned, 9.0),
    (advocate, 3.0),
    (drifting, 3.0),
    (champion_gone, 2.5),
    (returned, 1.0),
    (trial_converted, 9.0),
    (trial_expired, 4.0),
    (trial_stalled, 2.0),
    (trial_new, 2.5),
    (upsell_ready, 3.0),
    (quiet, 5.0),
    (seasonal, 4.0),
    (tiny, 5.0),
    (single_user, 4.0),
    (classic, 4.0),
    (growing, 6.0),
    (expanded, 4.0),
    (churned_suddenly, 3.0),
    (recovered, 3.0),
    (fading_before_renewal, 2.0),
    (reduced, 1.5),
]
"""Every story with its weight in the fleet; the first accounts live one each, in this order."""
