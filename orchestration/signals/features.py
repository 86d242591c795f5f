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
from typing import Any

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
        recent_peers: The calendar summed over the 28 days that the habit leaves out, in millionths.
        past_peers: The calendar summed over the days of the habit, in millionths.
        history_days: Days since the first active one, that day included; 0 before it.
    """

    habit: Floats
    used: dict[int, Floats]
    expected: dict[int, Floats]
    peers: dict[int, Floats]
    active_days: Ints
    silent_days: Ints
    silent_peer_days: Floats
    recent_peers: Ints
    past_peers: Ints
    history_days: Ints

    def ratio(self, window: int) -> Floats:
        """Give used over expected use; nan where nothing was expected."""
        expected = self.expected[window]
        share: Floats = np.divide(
            self.used[window], expected, out=np.full_like(expected, np.nan), where=expected > 0
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
            out=np.zeros_like(expected),
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
    days = activity.active_users.shape[1]
    live = activity.is_live.T
    members = np.maximum(activity.members.T[live], 1)
    units = activity.active_users.T[live].astype(np.int64) * ONE // members
    day = np.broadcast_to(np.arange(days)[:, None], live.shape)[live]
    cell = activity.group.T[live].astype(np.int64) * days + day
    # Float weights: exact below 2**53, that is for up to 9 billion accounts.
    share, count = (
        np.bincount(cell, weights=weights, minlength=groups * days).astype(np.int64)
        for weights in (units, None)
    )
    share, count = share.reshape(groups, days), count.reshape(groups, days)
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
    users = activity.active_users.T  # days first, so that whole rows are worked on
    days = np.arange(len(users))[:, None]
    of_day = calendar.T.copy()
    peers = np.stack([of_day[day].take(row) for day, row in enumerate(activity.group.T)])
    total_users, total_peers = running_sum(users), running_sum(peers)
    on = np.asarray(at, dtype=np.int64)
    members = np.maximum(activity.members.T[on], 1).astype(np.float64)

    def window(total: Ints, oldest: int, youngest: int) -> Ints:
        """Sum the days from `oldest` to `youngest` days before each day asked for."""
        begin, end = np.maximum(on - oldest, 0), np.maximum(on - youngest + 1, 0)
        summed: Ints = total.take(end, axis=0)
        summed -= total.take(begin, axis=0)
        return summed

    oldest = HABIT_GAP_DAYS + HABIT_DAYS - 1
    past_users = window(total_users, oldest, HABIT_GAP_DAYS)
    past_peers = window(total_peers, oldest, HABIT_GAP_DAYS)
    habit = (past_users + HABIT_PRIOR_DAYS * members) / (past_peers / ONE + HABIT_PRIOR_DAYS)
    used: dict[int, Floats] = {}
    expected: dict[int, Floats] = {}
    typical: dict[int, Floats] = {}
    for length in WINDOWS:
        peer_days = window(total_peers, length - 1, 0) / ONE
        used[length] = window(total_users, length - 1, 0).astype(np.float64).T
        expected[length] = (habit * peer_days).T
        typical[length] = (members * peer_days).T

    is_active = users > 0
    last = running_max(np.where(is_active, days, -1))
    first = np.where(is_active.any(axis=0), is_active.argmax(axis=0), len(users))
    before = np.take_along_axis(total_peers, last[on] + 1, axis=0)
    return Use(
        habit=habit.T,
        used=used,
        expected=expected,
        peers=typical,
        active_days=window(running_sum(is_active), 13, 0).T,
        silent_days=np.where(last[on] >= 0, on[:, None] - last[on], NEVER).T,
        silent_peer_days=((total_peers[on + 1] - before) / ONE).T,
        recent_peers=window(total_peers, HABIT_GAP_DAYS - 1, 0).T,
        past_peers=past_peers.T,
        history_days=np.maximum(on[:, None] - first + 1, 0).T,
    )


def running_sum(values: npt.NDArray[Any]) -> Ints:
    """Sum the rows before each row, and all of them: one row more than `values` has.

    Row by row, which is many times faster than numpy's own sum along the first axis.
    """
    total = np.zeros((len(values) + 1, *values.shape[1:]), dtype=np.int64)
    for row, value in enumerate(values):
        np.add(total[row], value, out=total[row + 1])
    return total


def running_max(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give the highest value of each row and those before it."""
    highest = values.copy()
    for row in range(1, len(highest)):
        np.maximum(highest[row - 1], highest[row], out=highest[row])
    return highest


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
