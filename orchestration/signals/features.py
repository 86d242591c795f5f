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

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestration.signals.trends import rounded_ratio

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

_HABIT = HABIT_GAP_DAYS + HABIT_DAYS - 1, HABIT_GAP_DAYS
"""The oldest and the youngest day of the habit, in days before."""

HABIT_PRIOR_DAYS = 3
"""The habit starts from a typical peer's, with the weight of so many full days of the peers."""

WINDOWS = (14, 28, 56)
"""The windows of recent use, in days."""

NEVER = 10**6
"""Silent days of an account that was never active."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Who was there on which day, dense, one row per account and one column per day.

    Attributes:
        active_users: Users with points of the default model on that day, shape (accounts, days).
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


class ByWindow(Mapping[int, Floats]):
    """An array for each of `WINDOWS`, worked out when it is asked for.

    Args:
        work: Gives the array of a window of so many days.
    """

    def __init__(self, work: Callable[[int], Floats]) -> None:
        """Work out nothing yet."""
        self._of = cache(work)

    def __getitem__(self, window: int) -> Floats:
        """The array of one window."""
        return self._of(window)

    def __iter__(self) -> Iterator[int]:
        """All windows."""
        return iter(WINDOWS)

    def __len__(self) -> int:
        """How many windows there are."""
        return len(WINDOWS)


@dataclass(frozen=True)
class Sums:
    """What use is measured from, days first, every array of shape (days, accounts).

    Attributes:
        users: Active users.
        members: Members; below 1 counts as 1.
        peers: The calendar of each account's peers in millionths, 0 before the account was seen.
    """

    users: npt.NDArray[np.integer]
    members: npt.NDArray[np.integer]
    peers: Ints

    @cached_property
    def total_users(self) -> Ints:
        """The active users before each day, and all of them, shape (days + 1, accounts)."""
        return running_sum(self.users)

    @cached_property
    def total_peers(self) -> Ints:
        """The same of the calendar."""
        return running_sum(self.peers)

    @cached_property
    def total_peers_begun(self) -> Ints:
        """The same from the first active day on: what peers did before is no measure of a habit."""
        begun = self.total_peers[self.first_active, np.arange(len(self.first_active))]
        return np.maximum(self.total_peers, begun)

    @cached_property
    def total_active(self) -> Ints:
        """The same of days with any active user."""
        return running_sum(self.users > 0)

    @cached_property
    def last_active(self) -> npt.NDArray[np.int32]:
        """The latest active day up to each day, -1 without any."""
        day = np.arange(len(self.users), dtype=np.int32)[:, None]
        latest: npt.NDArray[np.int32] = running_max(np.where(self.users > 0, day, np.int32(-1)))
        return latest

    @cached_property
    def first_active(self) -> Ints:
        """The first active day of each account; the day after the last one without any."""
        is_active = self.users > 0
        first: Ints = np.where(is_active.any(axis=0), is_active.argmax(axis=0), len(self.users))
        return first


class Use:
    """Recent use against expected use, every array of shape (accounts, days asked for).

    Each is worked out when it is asked for. Asked for single cells, arrays have one value for each.

    Args:
        sums: What it is measured from.
        at: The days asked for, ascending; or the day of each cell.
        account: The account of each cell; all accounts on all days asked for without.

    Attributes:
        used: Per window of `WINDOWS` the sum of active users over its days.
        expected: The same as it was to be expected: habit x calendar.
        peers: The same for a typical peer with as many members, since the account was first seen:
            members x calendar.
    """

    def __init__(self, sums: Sums, at: Ints, account: Ints | None = None) -> None:
        """Work out nothing yet."""
        self._sums, self._at = sums, at
        everybody = np.arange(sums.users.shape[1])
        self._day, self._account = (at[:, None], everybody) if account is None else (at, account)
        self._is_whole = account is None
        self.used = ByWindow(
            lambda days: self._window(self._sums.total_users, days - 1, 0).astype(np.float64).T
        )
        self.expected = ByWindow(
            lambda days: self.habit * self._peer_days(sums.total_peers_begun, days)
        )
        self.peers = ByWindow(
            lambda days: self._members.T * self._peer_days(sums.total_peers, days)
        )

    def on(self, day: Ints, account: Ints) -> "Use":
        """The use of some accounts, each on a day of its own: by index, of the same shape."""
        return Use(self._sums, day, account)

    @cached_property
    def _members(self) -> Floats:
        members: Floats = self._picked(self._sums.members, self._at).astype(np.float64)
        return np.maximum(members, 1)

    def _peer_days(self, total: Ints, days: int) -> Floats:
        return (self._window(total, days - 1, 0) / ONE).T

    def _picked(self, rows: npt.NDArray[Any], day: Ints) -> npt.NDArray[Any]:
        """Take a row for every day asked for, or a value for every cell."""
        picked: npt.NDArray[Any] = (
            rows.take(day, axis=0) if self._is_whole else rows[day, self._account]
        )
        return picked

    def _window(self, total: Ints, oldest: int, youngest: int) -> Ints:
        """Sum the days from `oldest` to `youngest` days before each day asked for."""
        begin, end = np.maximum(self._at - oldest, 0), np.maximum(self._at - youngest + 1, 0)
        summed: Ints = self._picked(total, end)
        summed -= self._picked(total, begin)
        return summed

    @cached_property
    def habit(self) -> Floats:
        """Active users for each full day of the peers (when all their members are active).

        For one user near 1 for a typical one, 2 for one twice as regular.
        """
        past_users = self._window(self._sums.total_users, *_HABIT)
        per_day: Floats = (past_users + HABIT_PRIOR_DAYS * self._members) / (
            self.past_peers.T / ONE + HABIT_PRIOR_DAYS
        )
        return per_day.T

    @cached_property
    def past_peers(self) -> Ints:
        """The calendar summed over the days of the habit, in millionths."""
        return self._window(self._sums.total_peers_begun, *_HABIT).T

    @cached_property
    def recent_peers(self) -> Ints:
        """The calendar summed over the 28 days that the habit leaves out, in millionths."""
        return self._window(self._sums.total_peers_begun, HABIT_GAP_DAYS - 1, 0).T

    @cached_property
    def active_days(self) -> Ints:
        """Days with any active user among the last 14."""
        return self._window(self._sums.total_active, 13, 0).T

    @cached_property
    def last_active(self) -> npt.NDArray[np.int32]:
        """The latest active day, -1 without any."""
        return self._picked(self._sums.last_active, self._at).T

    @cached_property
    def silent_days(self) -> Ints:
        """Days since the last active one, 0 = that day; `NEVER` without any."""
        latest = self.last_active
        return np.where(latest >= 0, self._day.T - latest, NEVER)

    @cached_property
    def silent_peer_days(self) -> Floats:
        """The calendar summed over the silence, at most since the account was first seen."""
        total = self._sums.total_peers
        before = total[self.last_active.T + 1, self._account]
        peer_days: Floats = (self._picked(total, self._at + 1) - before) / ONE
        return peer_days.T

    @cached_property
    def history_days(self) -> Ints:
        """Days since the first active one, that day included; 0 before it."""
        days: Ints = self._day - self._sums.first_active[self._account] + 1
        return np.maximum(days, 0).T

    def ratio(self, window: int) -> Floats:
        """Give used over expected use, to 6 places; nan where nothing was expected."""
        return rounded_ratio(self.used[window], self.expected[window])

    def surprise(self, window: int, dispersion: float | Floats) -> Floats:
        """Give by how many standard deviations use fell short of what was expected.

        Args:
            window: One of `WINDOWS`.
            dispersion: Variance over mean of such counts, at least 1; a number, or one per day.

        Returns:
            (expected - used) / sqrt(dispersion x expected), to 6 places; 0 where nothing was
            expected.

        Source:
            Pearson residual of an over-dispersed Poisson count (McCullagh & Nelder 1989, ch. 6).
        """
        expected = self.expected[window]
        deviation = np.sqrt(np.asarray(dispersion) * expected)
        return np.nan_to_num(rounded_ratio(expected - self.used[window], deviation))


def peer_totals(activity: Activity, groups: int, days: int | None = None) -> PeerTotals:
    """Sum the shares of active members over live accounts.

    Args:
        activity: Some or all accounts of the fleet, maybe without their first days.
        groups: How many peer groups there are in the whole fleet.
        days: How many days it has, if more; they end where the activity's do.

    Returns:
        Totals of these accounts, shape (groups, days).
    """
    own = activity.active_users.shape[1]
    days = days or own
    live = activity.is_live.T
    members = np.maximum(activity.members.T[live], 1)
    units = activity.active_users.T[live].astype(np.int64) * ONE // members
    day = np.broadcast_to(np.arange(days - own, days)[:, None], live.shape)[live]
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
    of_day = calendar.T.copy()  # days first, so that whole rows are worked on
    peers = np.stack([of_day[day].take(row) for day, row in enumerate(activity.group.T)])
    sums = Sums(activity.active_users.T, activity.members.T, peers)
    return Use(sums, np.asarray(at, dtype=np.int64))


def running_sum(values: npt.NDArray[Any], kind: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
    """Sum the rows before each row, and all of them: one row more than `values` has.

    Row by row, which is many times faster than numpy's own sum along the first axis.

    Args:
        values: Any numbers, rows first.
        kind: The type of the sums, wide enough for the last one.
    """
    total = np.zeros((len(values) + 1, *values.shape[1:]), dtype=kind)
    for row, value in enumerate(values):
        np.add(total[row], value, out=total[row + 1])
    return total


def running_max(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give the highest value of each row and those before it."""
    highest = values.copy()
    for row in range(1, len(highest)):
        np.maximum(highest[row - 1], highest[row], out=highest[row])
    return highest
