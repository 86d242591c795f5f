"""Features: what an account did lately against what was to be expected of it on that day.

What belongs here: the calendar of an account's peers, its own habit, and the use of its last weeks
against both, for accounts x days at once. What does not: thresholds (`flags`).

A fall of use says little when everybody pauses, and low use says little of an account that was
never busier. So use is held against `habit x calendar`: how much this account does for each day's
worth of what its peers do, times what the peers did on these days. Holidays, weekends and deadlines
cancel out.

Everything of a day rests on that day and earlier ones. Shares are held as whole millionths, so that
every sum is exact and no cut of the accounts or of the history changes a digit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ONE = 1_000_000
"""A share of 1, in millionths."""

MIN_PEERS = 30
"""With fewer live accounts in a group that day, the whole fleet is the calendar."""

HABIT_GAP_DAYS = 28
"""The habit leaves out the youngest days, so that a fall does not lower its own measure."""

HABIT_DAYS = 182
"""The habit looks half a year further back: long enough for holidays, short enough to change."""

HABIT_PRIOR_DAYS = 3
"""The habit starts from a typical peer's, with the weight of so many full days of the peers."""

WINDOWS = (14, 28, 56)
"""The windows of recent use, in days."""

MIN_EXPECTED = 5
"""Fewer expected user-days say little about burstiness."""

CHI_SQUARE_MEDIAN = 0.454936
"""Median of the square of a standard normal deviate."""

NEVER = 10**6
"""Silent days of an account that was never active."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Who was there on which day, dense, one row per account and one column per day.

    Attributes:
        active_users: Users with at least one tracked event that day, shape (accounts, days).
        members: Members of the account that day; below 1 counts as 1. Same shape.
        is_live: Seen by then and not gone (canceled, expired) at the end of that day. Same shape.
        group: Number of the peer group (the plan) that day, 0 to `groups` - 1. Same shape.
    """

    active_users: npt.NDArray[np.integer]
    members: npt.NDArray[np.integer]
    is_live: Bools
    group: npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class PeerTotals:
    """Sums over live accounts per peer group and day; totals of parts of the fleet add up.

    Attributes:
        share: Sum of the accounts' shares of active members, in millionths, shape (groups, days).
        accounts: How many accounts, same shape.
    """

    share: Ints
    accounts: Ints


@dataclass(frozen=True, slots=True)
class Use:
    """Recent use against expected use, every array of shape (accounts, days asked for).

    Attributes:
        habit: Active users for each full day of the peers (a day on which all their members are
            active); for one user near 1 for a typical one, 2 for one twice as regular.
        used: Per window of `WINDOWS` the sum of active users over its days.
        expected: The same as it was to be expected: habit x calendar.
        peers: The same for a typical peer with as many members: members x calendar.
        active_days: Days with any active user among the last 14.
        silent_days: Days since the last active one, 0 = that day; `NEVER` without any.
        silent_peer_days: The calendar summed over the silence: full days of the peers.
        history_days: Days since the first active one, that day included; 0 before it.
    """

    habit: Floats
    used: dict[int, Floats]
    expected: dict[int, Floats]
    peers: dict[int, Floats]
    active_days: Ints
    silent_days: Ints
    silent_peer_days: Floats
    history_days: Ints

    def ratio(self, window: int) -> Floats:
        """Give used over expected use; nan where nothing was expected."""
        expected = self.expected[window]
        share: Floats = np.divide(
            self.used[window], expected, out=np.full(expected.shape, np.nan), where=expected > 0
        )
        return share

    def surprise(self, window: int, dispersion: float | Floats) -> Floats:
        """Give by how many standard deviations use fell short of what was expected.

        Args:
            window: One of `WINDOWS`.
            dispersion: Variance over mean of such counts, at least 1; a number, or one per day.

        Returns:
            (expected - used) / sqrt(dispersion x expected); 0 where nothing was expected.

        Source:
            Pearson residual of an over-dispersed Poisson count (McCullagh & Nelder 1989, ch. 6).
        """
        expected = self.expected[window]
        deviation = np.sqrt(np.asarray(dispersion) * expected)
        shortfall: Floats = np.divide(
            expected - self.used[window],
            deviation,
            out=np.zeros(expected.shape),
            where=deviation > 0,
        )
        return shortfall


def peer_totals(activity: Activity, groups: int) -> PeerTotals:
    """Sum the shares of active members over live accounts.

    Args:
        activity: Some or all accounts of the fleet.
        groups: How many peer groups there are in the whole fleet.

    Returns:
        Totals of these accounts, shape (groups, days).
    """
    accounts, days = activity.active_users.shape
    share = np.zeros((groups, days), dtype=np.int64)
    count = np.zeros((groups, days), dtype=np.int64)
    rows = max(1, 4_000_000 // max(days, 1))
    for first in range(0, accounts, rows):
        part = slice(first, first + rows)
        live = activity.is_live[part]
        members = np.maximum(activity.members[part], 1).astype(np.int64)
        units = activity.active_users[part].astype(np.int64) * ONE // members
        cell = activity.group[part].astype(np.int64) * days + np.arange(days)
        # Float weights: exact below 2**53, that is for up to 9 billion accounts.
        summed = np.bincount(cell[live], weights=units[live], minlength=groups * days)
        share += summed.astype(np.int64).reshape(groups, days)
        count += np.bincount(cell[live], minlength=groups * days).reshape(groups, days)
    return PeerTotals(share=share, accounts=count)


def peers_calendar(parts: Iterable[PeerTotals], min_peers: int = MIN_PEERS) -> Ints:
    """Say for every group and day which share of the peers' members was active.

    Args:
        parts: Totals that make up the whole fleet.
        min_peers: A group with fewer live accounts that day takes the whole fleet's share.

    Returns:
        Mean share over accounts in millionths, shape (groups, days); 0 on days without accounts.
    """
    totals = list(parts)
    share = np.sum([part.share for part in totals], axis=0, dtype=np.int64)
    accounts = np.sum([part.accounts for part in totals], axis=0, dtype=np.int64)
    fleet = share.sum(axis=0) // np.maximum(accounts.sum(axis=0), 1)
    own = share // np.maximum(accounts, 1)
    calendar: Ints = np.where(accounts >= min_peers, own, fleet[None, :])
    return calendar


def recent_use(activity: Activity, calendar: Ints, at: npt.NDArray[np.integer]) -> Use:
    """Measure the use of the last weeks against habit and calendar.

    Cells before the first day of the arrays count as silent days on which the peers were silent
    too, so the arrays should begin where the fleet does, or at least 240 days before the first day
    asked for.

    Args:
        activity: Some or all accounts of the fleet.
        calendar: Of the whole fleet, from `peers_calendar`, for the same days.
        at: Columns to measure on, ascending; each looks at itself and at columns before it.

    Returns:
        One value per account and day asked for.
    """
    days = activity.active_users.shape[1]
    users = activity.active_users.astype(np.int64)
    peers = calendar[activity.group, np.arange(days)]
    total_users = _running(users)
    total_peers = _running(peers)
    on = np.asarray(at, dtype=np.int64)
    members = np.maximum(activity.members[:, on], 1).astype(np.float64)

    def window(total: Ints, oldest: int, youngest: int) -> Ints:
        """Sum the days from `oldest` to `youngest` days before each day asked for."""
        begin, end = np.maximum(on - oldest, 0), np.maximum(on - youngest + 1, 0)
        summed: Ints = total[:, end] - total[:, begin]
        return summed

    oldest = HABIT_GAP_DAYS + HABIT_DAYS - 1
    past_users = window(total_users, oldest, HABIT_GAP_DAYS)
    past_peers = window(total_peers, oldest, HABIT_GAP_DAYS) / ONE
    habit = (past_users + HABIT_PRIOR_DAYS * members) / (past_peers + HABIT_PRIOR_DAYS)
    used: dict[int, Floats] = {}
    expected: dict[int, Floats] = {}
    typical: dict[int, Floats] = {}
    for length in WINDOWS:
        peer_days = window(total_peers, length - 1, 0) / ONE
        used[length] = window(total_users, length - 1, 0).astype(np.float64)
        expected[length] = habit * peer_days
        typical[length] = members * peer_days

    is_active = users > 0
    column = np.arange(days)
    last = np.maximum.accumulate(np.where(is_active, column, -1), axis=1)[:, on]
    first = np.where(is_active.any(axis=1), is_active.argmax(axis=1), days)[:, None]
    silent_peers = total_peers[:, on + 1] - np.take_along_axis(total_peers, last + 1, axis=1)
    return Use(
        habit=habit,
        used=used,
        expected=expected,
        peers=typical,
        active_days=window(_running(is_active.astype(np.int64)), 13, 0),
        silent_days=np.where(last >= 0, on - last, NEVER),
        silent_peer_days=silent_peers / ONE,
        history_days=np.maximum(on - first + 1, 0),
    )


def dispersion(used: Floats, expected: Floats) -> float:
    """Estimate how bursty this fleet's counts are: their variance over their mean.

    The median, not the mean: a few large accounts and those that just fall would raise the mean
    for everybody.

    Args:
        used: Counts of accounts with enough history, any shape.
        expected: What was expected of them, same shape; cells below 5 are left out.

    Returns:
        Median of squared Pearson residuals over that of a chi-square with one degree of freedom,
        at least 1 (Poisson); 1 without data.

    Source:
        Pearson's dispersion parameter (McCullagh & Nelder 1989, ch. 6.2), its mean replaced by the
        normal-consistent median (Hampel et al. 1986).
    """
    enough = expected >= MIN_EXPECTED
    if not enough.any():
        return 1.0
    residuals = (used[enough] - expected[enough]) ** 2 / expected[enough]
    return max(1.0, float(np.median(residuals)) / CHI_SQUARE_MEDIAN)


def _running(values: Ints) -> Ints:
    """Running sums along the days, with a zero before the first one."""
    total = np.zeros((values.shape[0], values.shape[1] + 1), dtype=np.int64)
    np.cumsum(values, axis=1, out=total[:, 1:])
    return total
