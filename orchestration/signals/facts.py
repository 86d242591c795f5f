"""Facts: what the rules can look at, for every entity and every day, with what was known that day.

What belongs here: the arrays that days are held in, and the numbers that follow from them (use
against what habit and calendar lead to expect, recency, levels). What does not: reading marts,
thresholds, words.

Arrays have the shape (days, entities), so that anything about time runs over whole rows. A block
holds some accounts and all of their users; how accounts are cut into blocks changes no number.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, cached_property, partial
from itertools import pairwise
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals.features import (
    HABIT_DAYS,
    HABIT_GAP_DAYS,
    WINDOWS,
    Activity,
    PeerTotals,
    Use,
    peer_totals,
    peers_calendar,
    recent_use,
    running_max,
    running_sum,
)
from orchestration.signals.trends import (
    UNITS_PER_POINT,
    levels,
    rounded_ratio,
    sorting_network,
    theil_sen,
)
from orchestration.signals.weeks import (
    HISTORY_WEEKS,
    MIN_TREND_WEEKS,
    RECENT_DAYS,
    TREND_WEEKS,
    WEEK_DAYS,
)

Entity = Literal["account", "user"]
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Result = TypeVar("Result")

KEYS: dict[Entity, tuple[str, ...]] = {
    "account": ("account_id",),
    "user": ("account_id", "user_id"),
}

STATUSES = ("unknown", "trial", "paid", "canceled", "expired")

UNKNOWN = -1
"""A rate, a score or a count that is null; all of them are 0 or more."""

NO_DAY = np.iinfo(np.int32).min
"""A date that is null."""

MILLIONTHS = 1_000_000

IS_LIVE = np.array([status in ("unknown", "trial", "paid") for status in (*STATUSES, None)])
"""By status whether use is expected of such a customer; UNKNOWN, the last place, is nobody."""

MIN_EXPECTED_USE = 1.0
"""An account that is expected to use less says nothing about how bursty use is."""

MONTH_DAYS = 28
USUAL_DAYS = 84
PEAK_DAYS = 56
"""Windows of the facts about value, people and readiness."""

BURST_DAYS = 56
"""So many days together say how bursty use is."""

CHI_SQUARE_MEDIAN = 0.454936
"""Of one degree of freedom: the median of a squared residual that is chance alone."""

ACCOUNT_DAYS = pl.Schema(
    {
        "account_status": pl.Enum(STATUSES),
        "active_user_count": pl.Int64(),
        "user_count": pl.Int64(),
        "engagement_score": pl.Float64(),
        "engagement_score_avg": pl.Float64(),
        "window_days": pl.Int64(),
        "activation_rate": pl.Float64(),
        "user_activation_rate": pl.Float64(),
        "readiness_rate": pl.Float64(),
        "flagship_rates": pl.List(pl.Float64()),  # ascending; an account step: 0 or 1
        "history_days": pl.Int64(),  # since the first active day
        "days_since_active": pl.Int64(),  # days on which the pipeline worked
        "active_day_count_14d": pl.Int64(),
        **{
            f"{name}_{days}d": pl.Float64()
            for days in WINDOWS
            for name in ("used", "expected", "use_ratio", "use_surprise")
        },
        "typical_use_56d": pl.Float64(),  # what its members would have used at their peers' rate
        "peer_days_in_silence": pl.Float64(),
        "expected_in_silence": pl.Float64(),
        "fleet_ratio": pl.Float64(),  # the calendar of 28 days against that of the habit
        "readiness_peak_56d": pl.Float64(),
        "points_28d": pl.Float64(),
        "points_usual_28d": pl.Float64(),  # what 28 days had in the twelve weeks before
        "value_count_28d": pl.Int64(),  # events of flagship steps
        "value_usual_28d": pl.Float64(),  # what 28 days had in the twelve weeks before
        "top_user_share": pl.Float64(),
        "silent_top_user": pl.String(),  # the busiest of the users silent for 14 working days
        "silent_top_share": pl.Float64(),  # of the points before these
        "others_ratio": pl.Float64(),  # the other users' points per day against before
        "used_before_28d": pl.Float64(),  # the 28 days before the last 14 working days
        "seat_count": pl.Int64(),
        "open_risk_level": pl.Int64(),  # the severest other risk: 0 none, 1 low, 2 medium, 3 high
        "is_benchmark_thin": pl.Boolean(),
        "is_user_benchmark_thin": pl.Boolean(),
        "trial_ends_date": pl.Date(),
        "contract_started_date": pl.Date(),
        "contract_ends_date": pl.Date(),
        "first_seen_date": pl.Date(),
        "last_points_date": pl.Date(),
        "as_of_date": pl.Date(),
    }
)
"""What a rule about accounts can judge, every day."""

USER_DAYS = pl.Schema(
    {
        "account_status": pl.Enum(STATUSES),
        "active_day_count": pl.Int64(),
        "engagement_points": pl.Float64(),
        "account_engagement_points": pl.Float64(),
        "engagement_score": pl.Float64(),
        "window_days": pl.Int64(),
        "activation_rate": pl.Float64(),
        "member_days": pl.Int64(),  # since first seen in the account
        "active_day_count_14d": pl.Int64(),  # 14 working days, also of the whole account
        "usual_active_days_14d": pl.Float64(),  # per fortnight, in the twelve weeks before
        "account_active_users_14d": pl.Float64(),  # active user-days of the whole account
        "account_activation_rate": pl.Float64(),
        "is_benchmark_thin": pl.Boolean(),
        "as_of_date": pl.Date(),
    }
)
"""What a rule about users can judge, every day."""

DAYS: dict[Entity, pl.Schema] = {"account": ACCOUNT_DAYS, "user": USER_DAYS}

_STEP = pl.Struct(
    {
        "step_key": pl.String(),
        "step_name": pl.String(),
        "level": pl.String(),
        "completed_rate": pl.Float64(),
    }
)
_MOVER = pl.Struct({"name": pl.String(), "before": pl.Float64(), "now": pl.Float64()})  # a week

LEVELS = pl.Schema(
    {
        "weeks_observed": pl.Int64(),
        "points_now": pl.Float64(),
        "points_baseline": pl.Float64(),
        "baseline_ratio": pl.Float64(),
        "slope_points_per_week": pl.Float64(),
    }
)
"""An account's level on one day, see `trends`."""

MOVERS = ("event_movers", "user_movers")
"""Details that compare the weeks of the level."""

DETAILS: dict[Entity, pl.Schema] = {
    "account": pl.Schema(
        {
            "missing_steps": pl.String(),  # account steps, comma-separated
            "flagship_steps": pl.List(_STEP),  # those that apply
            "last_seen_date": pl.Date(),
            "event_movers": pl.List(_MOVER),
            "user_movers": pl.List(_MOVER),
        }
    ),
    "user": pl.Schema({"last_seen_date": pl.Date()}),
}
"""What is looked up, by entity and day, only for a flag that opens: names, lists, dates."""

FACTS: dict[Entity, pl.Schema] = {
    "account": pl.Schema(
        {"account_id": pl.String(), **LEVELS, **DETAILS["account"], **ACCOUNT_DAYS}
    ),
    "user": pl.Schema(
        {"account_id": pl.String(), "user_id": pl.String(), **DETAILS["user"], **USER_DAYS}
    ),
}
"""All that evidence and sentences can tell."""


@dataclass(frozen=True, slots=True)
class Span:
    """The days of a history, the first one that any account was seen on to the as-of date."""

    first_date: date
    count: int

    @property
    def dates(self) -> Array:
        """Every day as days since 1970."""
        start = (self.first_date - date(1970, 1, 1)).days
        return np.arange(start, start + self.count, dtype=np.int32)

    def date_of(self, day: int) -> date:
        """The date of a day by its index."""
        return self.first_date + timedelta(days=day)

    def since(self, day: int) -> "Span":
        """The same without the days before one."""
        return Span(self.date_of(day), self.count - day)


@dataclass(frozen=True)
class Presence:
    """Who is there and how many of them use the product, per day and account.

    Attributes:
        span: The days.
        active_users: Users with points of the default model on the day.
        members: Members.
        status: Index into STATUSES, UNKNOWN before the account was seen.
        plan: Index of the plan; 0 stands for none.
    """

    span: Span
    active_users: Array
    members: Array
    status: Array
    plan: Array

    @cached_property
    def has_begun(self) -> Array:
        """Whether there was any activity up to the day."""
        return running_max(self.active_users > 0)

    @cached_property
    def is_live(self) -> Array:
        """Whether use is expected of the account."""
        live: Array = IS_LIVE[self.status]
        return live

    def totals(self, plans: int, days: int) -> PeerTotals:
        """Sum what the accounts add to the calendar of each plan.

        Args:
            plans: How many there are.
            days: Of the whole fleet, which ends on the same day.
        """
        return peer_totals(self._activity(self.plan), plans, days)

    def against(self, calendar: Array, at: Array | None = None) -> Use:
        """Measure recent use against habit and calendar.

        What peers did before the account was seen is no measure of it.

        Args:
            calendar: Of the whole fleet, as `calendar_of` gives it.
            at: Indices of the days to measure on, ascending; every day without.
        """
        not_seen = len(calendar) - 1
        activity = self._activity(np.where(self.status == UNKNOWN, not_seen, self.plan))
        days = np.arange(self.span.count) if at is None else at
        return recent_use(activity, calendar, days)

    def _activity(self, group: Array) -> Activity:
        return Activity(
            active_users=self.active_users.T,
            members=self.members.T,
            is_live=self.is_live.T,
            group=group.T,
        )

    def part(self, accounts: Array, first: int) -> "Presence":
        """Some of the accounts, from one day on; see `Block.part`."""
        return Presence(
            span=self.span.since(first),
            active_users=self.active_users[first:].take(accounts, axis=1),
            members=self.members[first:].take(accounts, axis=1),
            status=self.status[first:].take(accounts, axis=1),
            plan=self.plan[first:].take(accounts, axis=1),
        )


def combined(combine: np.ufunc, values: Array, account: Array, accounts: int) -> Array:
    """Combine the values of the users of each account, given ascending; see `Users.per_account`."""
    result = np.zeros((len(values), accounts), dtype=values.dtype)
    known, starts = np.unique(account, return_index=True)
    if len(known):
        result[:, known] = combine.reduceat(values, starts, axis=1)
    return result


@dataclass(frozen=True)
class Users:
    """Users of a block's accounts, the users of one account side by side.

    Attributes:
        keys: account_id and user_id, one row per user.
        account: Index of each user's account in the block, ascending.
        points: Whole ten-thousandths of the default model's points of each day.
        scored: Whether the user is a scored member of the account on that day.
        score: Engagement score in millionths, UNKNOWN where there is none.
        completed_units: Weight of the completed steps in ten-thousandths.
        first_seen: Index of the day on which each user was first seen in the account.
    """

    keys: pl.DataFrame
    account: Array
    first_seen: Array
    points: Array
    scored: Array
    score: Array
    completed_units: Array

    def per_account(self, combine: np.ufunc, values: Array, accounts: int) -> Array:
        """Combine the values of each account's users.

        Args:
            combine: What makes one value of two.
            values: Shape (days, users).
            accounts: How many there are; those without users get 0.

        Returns:
            Shape (days, accounts).
        """
        return combined(combine, values, self.account, accounts)

    def part(self, accounts: Array, first: int) -> "Users":
        """The users of some of the block's accounts, from one day on; see `Block.part`."""
        users = np.flatnonzero(np.isin(self.account, accounts))
        return Users(
            keys=self.keys[users],
            account=np.searchsorted(accounts, self.account[users]),
            first_seen=self.first_seen[users] - first,
            points=self.points[first:].take(users, axis=1),
            scored=self.scored[first:].take(users, axis=1),
            score=self.score[first:].take(users, axis=1),
            completed_units=self.completed_units[first:].take(users, axis=1),
        )


@dataclass(frozen=True)
class Block:
    """Some accounts, all days, and their users.

    Attributes:
        presence: Who uses the product.
        account: Number of each account in the fleet.
        keys: account_id, one row per account.
        first_seen: Index of the day on which each account was first seen.
        points: Whole ten-thousandths of the default model's points of each day.
        value_events: Events of flagship steps of each day.
        numbers: By name: rates and scores in millionths, counts as they are, UNKNOWN for null.
        dates: By name: days since 1970, NO_DAY for null.
        is_benchmark_thin: Whether few accounts were compared, per day and account.
        flagship_rates: Shape (flagships, days, accounts), nan where a step does not apply.
        user_step_units: Weight of the user steps that apply, in ten-thousandths.
        users: Their users.
    """

    presence: Presence
    account: Array
    keys: pl.DataFrame
    first_seen: Array
    points: Array
    value_events: Array
    numbers: Mapping[str, Array]
    dates: Mapping[str, Array]
    is_benchmark_thin: Array
    flagship_rates: Array
    user_step_units: Array
    users: Users

    @property
    def span(self) -> Span:
        """The days."""
        return self.presence.span

    @cached_property
    def total_points(self) -> Array:
        """The points before each day, and all of them, shape (days + 1, accounts)."""
        return running_sum(self.points)

    def part(self, accounts: Array, first: int) -> "Block":
        """Some of the accounts with their users, from one day on.

        Args:
            accounts: Their places in this block, ascending.
            first: Index of a day before which none of them was seen, so that nothing is left out.
        """

        def of(values: Array) -> Array:
            return values[first:].take(accounts, axis=1)

        return Block(
            presence=self.presence.part(accounts, first),
            account=self.account[accounts],
            keys=self.keys[accounts],
            first_seen=self.first_seen[accounts] - first,
            points=of(self.points),
            value_events=of(self.value_events),
            numbers={name: of(values) for name, values in self.numbers.items()},
            dates={name: of(values) for name, values in self.dates.items()},
            is_benchmark_thin=of(self.is_benchmark_thin),
            flagship_rates=self.flagship_rates[:, first:].take(accounts, axis=2),
            user_step_units=of(self.user_step_units),
            users=self.users.part(accounts, first),
        )


@dataclass(frozen=True)
class Fleet:
    """What is the same for everybody on a day.

    Attributes:
        window_days: Of the default score model.
        is_suspended: The fleet's activity collapsed, or the day is missing: it says nothing.
        is_user_benchmark_thin: Few users were compared.
        calendar: Share of the peers' members that were active, see `calendar_of`.
        overdispersion: Variance over mean of use around what was expected, shape (days,).
    """

    window_days: int
    is_suspended: Array
    is_user_benchmark_thin: Array
    calendar: Array
    overdispersion: Floats

    def last(self, days: int) -> "Fleet":
        """The same of the last days alone."""
        return replace(
            self,
            is_suspended=self.is_suspended[-days:],
            is_user_benchmark_thin=self.is_user_benchmark_thin[-days:],
            calendar=self.calendar[:, -days:],
            overdispersion=self.overdispersion[-days:],
        )


def calendar_of(totals: Iterable[PeerTotals]) -> Array:
    """Say for every plan and day which share of the peers' members was active.

    Args:
        totals: Of parts that make up the whole fleet.

    Returns:
        In millionths, shape (plans + 1, days); the last row, of accounts not seen yet, is 0.
    """
    calendar = peers_calendar(totals)
    return np.vstack([calendar, np.zeros_like(calendar[:1])])


def use_by_day(part: Presence, calendar: Array) -> list[Array]:
    """Tell for each day what live accounts used and what was expected of them.

    Args:
        part: Some accounts.
        calendar: As `calendar_of` gives it; its days end where the part's do.

    Returns:
        By day of the part a row of used and one of expected active user-days, over 28 days, of the
        accounts that are expected to use anything; in single precision, which half as much memory
        holds.
    """
    use = part.against(calendar[:, -part.span.count :])
    expected, used = use.expected[HABIT_GAP_DAYS].T, use.used[HABIT_GAP_DAYS].T
    counted = part.is_live & part.has_begun & (expected >= MIN_EXPECTED_USE)
    both = np.stack([used[counted], expected[counted]]).astype(np.float32)
    return np.split(both, np.cumsum(counted.sum(axis=1))[:-1], axis=1)


def overdispersion(parts: Iterable[list[Array]], days: int) -> Floats:
    """Estimate how much burstier use is than chance, on every day.

    How bursty a fleet is does not change from one day to the next; that some of it falls or rises
    does. So it is the median of the last days' estimates.

    Args:
        parts: `use_by_day` of the whole fleet.
        days: Of the history; the days of each part are the last of them.

    Returns:
        Shape (days,): the median over BURST_DAYS of `_dispersion`; at least 1.
    """
    by_day: list[list[Array]] = [[] for _ in range(days)]
    for part in parts:
        for found, use in zip(by_day[days - len(part) :], part, strict=True):
            found.append(use)
    daily = np.array([_dispersion(np.hstack([np.empty((2, 0)), *found])) for found in by_day])
    phi = np.ones(days)
    for day in range(days):
        lately = daily[max(day + 1 - BURST_DAYS, 0) : day + 1]
        known = lately[~np.isnan(lately)]
        if len(known):
            phi[day] = max(np.median(known), 1.0)
    return phi


def _dispersion(use: Array) -> float:
    """Estimate variance over mean of used counts around the expected ones.

    Args:
        use: A row of used and one of expected counts.

    Returns:
        The median of the squared residuals over that of a chi-square: a median, because accounts
        that really fell or rose are no chance. First the expected counts are put on the accounts'
        median: what all of them do is no burst. Nan where that is 0, or nobody is there.

    Source:
        Pearson's dispersion parameter (McCullagh & Nelder 1989, ch. 6.2), its mean replaced by the
        normal-consistent median (Hampel et al. 1986).
    """
    used, expected = use
    usual = np.median(used / expected) if len(used) else 0.0
    if not usual:
        return math.nan
    residuals = np.square(used - usual * expected) / (usual * expected)
    return float(np.median(residuals) / CHI_SQUARE_MEDIAN)


def weekly_at(total_points: Array, day: Array, entity: Array) -> tuple[Floats, ...]:
    """Sum the weeks of seven days that end on a day and on every seventh day before it.

    Args:
        total_points: The points before each day, shape (days + 1, entities).
        day: Indices of days, shape (cells,).
        entity: Indices of entities, shape (cells,).

    Returns:
        HISTORY_WEEKS arrays of shape (cells,), the youngest week first.
    """
    ends = [
        total_points[np.maximum(day + 1 - WEEK_DAYS * age, 0), entity]
        for age in range(HISTORY_WEEKS + 1)
    ]
    return tuple((later - earlier).astype(np.float64) for later, earlier in pairwise(ends))


def levels_at(block: Block, day: Array, account: Array) -> pl.DataFrame:
    """Measure the level of accounts on some days, as LEVELS, one row per (day, account)."""
    weeks = weekly_at(block.total_points, day, account)
    age = day - block.first_seen[account] + 1
    measured = levels(weeks, np.maximum(age // WEEK_DAYS, 0))
    slope = np.full(len(day), np.nan)
    counts = np.minimum(measured.weeks_observed, TREND_WEEKS)
    for count in range(MIN_TREND_WEEKS, TREND_WEEKS + 1):
        rows = np.flatnonzero(counts == count)
        series = np.stack([week[rows] for week in weeks[:count]], axis=1)[:, ::-1]
        slope[rows] = theil_sen(series.astype(np.int64), UNITS_PER_POINT)
    return pl.DataFrame(
        {
            "weeks_observed": measured.weeks_observed,
            "points_now": measured.points_now,
            "points_baseline": measured.points_baseline,
            "baseline_ratio": measured.baseline_ratio,
            "slope_points_per_week": slope,
        },
        schema_overrides=LEVELS,
        nan_to_null=True,
    )


Cells = tuple[Any, Any]
"""Indices of days and entities, both all or both arrays of one shape."""

ALL_CELLS: Cells = (slice(None), slice(None))


def trailing(total: Array, days: int, gap: int = 0, at: Cells = ALL_CELLS) -> Array:
    """Sum `days` days that end `gap` days before each day.

    Args:
        total: What was before each day, as `running_sum` gives it, shape (days + 1, entities).
        days: The length of the window.
        gap: How many of the latest days are left out.
        at: The cells asked for.
    """
    end = np.maximum(np.arange(1, len(total)) - gap, 0)
    return between(total, np.maximum(end - days, 0), end, at)


def between(total: Array, begin: Array, end: Array, at: Cells = ALL_CELLS) -> Array:
    """Sum, for each day, the days from one on until before another.

    Args:
        total: What was before each day, as `running_sum` gives it, shape (days + 1, entities).
        begin: For each day the index of the first one, shape (days,).
        end: For each day the index after the last one, same shape.
        at: The cells asked for.
    """
    day, entity = at
    summed: Array = total[end[day], entity]
    summed -= total[begin[day], entity]
    return summed


def working(values: Array, is_suspended: Array) -> Array:
    """The same with 0 on suspended days, days first."""
    kept: Array = values * ~is_suspended[:, None]
    return kept


def begin_of(is_suspended: Array, days: int) -> Array:
    """Say for each day on which one so many days that were not suspended begin; 0 for fewer."""
    so_far = np.cumsum(~is_suspended)
    return np.searchsorted(so_far, so_far - days, side="right")


def highest(values: Array, days: int) -> Array:
    """Give the highest value of the `days` days that end on each day."""
    top = values.copy()
    reach = 1  # doubling: the maximum of 2n days is that of two times n days
    while reach < days:
        step = min(reach, days - reach)
        top[step:] = np.maximum(top[step:], top[:-step])
        reach += step
    return top


def days_since(latest: Array, is_suspended: Array, at: Cells = ALL_CELLS) -> Array:
    """Count the days since the latest active one that were not suspended; UNKNOWN without any.

    Args:
        latest: The latest active day of each cell, negative without any.
        is_suspended: Shape (days,).
        at: Which cells they are.
    """
    working = np.cumsum(~is_suspended).astype(np.int32)
    today = working[:, None] if at is ALL_CELLS else working[at[0]]
    since: Array = np.where(latest < 0, UNKNOWN, today - working[np.maximum(latest, 0)])
    return since


Fact = Callable[[Cells], pl.Series]
Facts = dict[str, Fact]
"""By name what gives a fact of some cells; nothing is worked out before it is asked for."""


def frame_at(facts: Facts, names: Iterable[str], cells: Cells = ALL_CELLS) -> pl.DataFrame:
    """Make one row per cell; all cells go day by day."""
    return pl.DataFrame({name: facts[name](cells) for name in names})


def once_per_cells(work: Callable[[Cells], Result]) -> Callable[[Cells], Result]:
    """Remember what was worked out last: several facts are asked for the same cells in a row."""
    last: list[tuple[Cells, Result]] = []

    def remembered(at: Cells) -> Result:
        if not last or last[0][0] is not at:
            last[:] = [(at, work(at))]
        return last[0][1]

    return remembered


def account_facts(block: Block, fleet: Fleet) -> Facts:
    """Give the facts of ACCOUNT_DAYS, without the open risks, over days and accounts."""
    presence, shape = block.presence, block.presence.status.shape
    span = block.span.dates
    everywhere = presence.against(fleet.calendar)
    use = once_per_cells(lambda at: everywhere if at is ALL_CELLS else everywhere.on(*at))
    begin = begin_of(fleet.is_suspended, RECENT_DAYS)
    silent_top = once_per_cells(partial(_silent_top_user, block, fleet.is_suspended))
    active_users = running_sum(presence.active_users)
    value = running_sum(block.value_events)
    peak = cache(lambda: highest(block.numbers["readiness_rate"], PEAK_DAYS))

    def of(values: Array, told: Callable[[Array], pl.Series] = _number) -> Fact:
        return lambda at: told(np.broadcast_to(values, shape)[at])

    def of_use(
        measure: Callable[[Use], Array], told: Callable[[Array], pl.Series] = _number
    ) -> Fact:
        return lambda at: told(measure(use(at)).T)

    def in_window(days: int) -> Facts:
        return {
            f"used_{days}d": of_use(lambda use: use.used[days]),
            f"expected_{days}d": of_use(lambda use: use.expected[days]),
            f"use_ratio_{days}d": of_use(lambda use: use.ratio(days)),
            f"use_surprise_{days}d": lambda at: _number(
                use(at).surprise(days, fleet.overdispersion[at[0]]).T
            ),
        }

    windows: Facts = {}
    for days in WINDOWS:
        windows |= in_window(days)
    return {
        "account_status": of(presence.status, _status),
        "user_count": of(presence.members, _count),
        **{
            name: of(values, _rate if name in RATES else _known)
            for name, values in block.numbers.items()
        },
        "window_days": of(np.array(fleet.window_days), _count),
        "flagship_rates": lambda at: _lists(
            rounded_ratio(block.flagship_rates[(slice(None), *at)], 1)
        ),
        "history_days": of_use(lambda use: use.history_days, _count),
        "days_since_active": lambda at: _known(
            days_since(use(at).last_active.T, fleet.is_suspended, at)
        ),
        "active_day_count_14d": of_use(lambda use: use.active_days, _small_count),
        **windows,
        "typical_use_56d": of_use(lambda use: use.peers[max(WINDOWS)]),
        "peer_days_in_silence": of_use(_peer_days_in_silence),
        "expected_in_silence": of_use(lambda use: use.habit * _peer_days_in_silence(use)),
        "fleet_ratio": of_use(_peers_now_against_before),
        "readiness_peak_56d": lambda at: _rate(peak()[at]),
        "points_28d": lambda at: _number(
            rounded_ratio(trailing(block.total_points, MONTH_DAYS, at=at), UNITS_PER_POINT)
        ),
        "points_usual_28d": lambda at: _number(
            rounded_ratio(
                trailing(block.total_points, USUAL_DAYS, MONTH_DAYS, at) * MONTH_DAYS,
                USUAL_DAYS * UNITS_PER_POINT,
            )
        ),
        "value_count_28d": lambda at: _count(trailing(value, MONTH_DAYS, at=at)),
        "value_usual_28d": lambda at: _number(
            trailing(value, USUAL_DAYS, MONTH_DAYS, at) * float(MONTH_DAYS) / USUAL_DAYS
        ),
        "silent_top_user": lambda at: silent_top(at)[0],
        "silent_top_share": lambda at: _number(silent_top(at)[1]),
        "others_ratio": lambda at: _number(silent_top(at)[2]),
        "used_before_28d": lambda at: _number(
            _month_before(active_users, begin, at).astype(np.float64)
        ),
        "is_benchmark_thin": of(block.is_benchmark_thin, _flat),
        "is_user_benchmark_thin": of(fleet.is_user_benchmark_thin[:, None], _flat),
        **{name: of(values, _dates) for name, values in block.dates.items()},
        "first_seen_date": of(span[0] + block.first_seen, _dates),
        "last_points_date": of_use(
            lambda use: np.where(use.last_active < 0, NO_DAY, span[0] + use.last_active), _dates
        ),
        "as_of_date": of(span[:, None], _dates),
    }


def _month_before(total: Array, begin: Array, at: Cells) -> Array:
    """Sum the four weeks that end before the first of the recent days."""
    return between(total, np.maximum(begin - MONTH_DAYS, 0), begin, at)


def _silent_top_user(
    block: Block, is_suspended: Array, at: Cells
) -> tuple[pl.Series, Floats, Floats]:
    """The busiest of the silent users, the share that they had before, and how the others go on.

    Silent is who had no points for two weeks, not counting suspended days; before are the four
    weeks before those. Of several who had as much it is the first by id.

    Args:
        block: The accounts.
        is_suspended: The days that say nothing.
        at: The cells asked for.
    """
    begin = begin_of(is_suspended, RECENT_DAYS)
    accounts = np.arange(block.keys.height)[at[1]]
    asked, place = np.unique(accounts, return_inverse=True)
    users = np.flatnonzero(np.isin(block.users.account, asked))
    owner = np.searchsorted(asked, block.users.account[users])
    total_points = running_sum(block.users.points[:, users])
    after = np.arange(block.span.count) + 1
    before = _month_before(total_points, begin, ALL_CELLS)
    before *= between(total_points, begin, after) == 0
    most = combined(np.maximum, before, owner, len(asked))
    top = most[at[0], place]
    is_other = (before != most[:, owner]) | (before == 0)
    names = block.users.keys["user_id"][users]
    first = combined(
        np.minimum, np.where(is_other, len(users), np.arange(len(users))), owner, len(asked)
    )
    who = pl.Series(np.ravel(np.where(top > 0, first[at[0], place], len(users))))
    total = _month_before(block.total_points, begin, at)
    lately = running_sum(working(block.points, is_suspended))
    now = between(lately, begin, after, at) / RECENT_DAYS
    return (
        names.extend_constant(None, 1)[who],
        rounded_ratio(top, total),
        rounded_ratio(now, (total - top) / MONTH_DAYS),
    )


def _peer_days_in_silence(use: Use) -> Floats:
    """The calendar summed over the silence; nan for who was never active."""
    return np.where(use.last_active < 0, np.nan, use.silent_peer_days)


def _peers_now_against_before(use: Use) -> Floats:
    """The calendar of the last 28 days against that of the habit's days since it began."""
    now = use.recent_peers / HABIT_GAP_DAYS
    before_days = np.clip(use.history_days - HABIT_GAP_DAYS, 0, HABIT_DAYS)
    return rounded_ratio(now * before_days, use.past_peers)


def user_facts(block: Block, fleet: Fleet) -> Facts:
    """Give the facts of USER_DAYS over days and users."""
    users = block.users
    shape = users.score.shape
    span = block.span.dates
    is_active = users.points > 0
    active_days = running_sum(is_active, np.int32)
    working_days = running_sum(working(is_active, fleet.is_suspended), np.int32)
    account_active = running_sum(working(block.presence.active_users, fleet.is_suspended))
    after = np.arange(shape[0]) + 1
    begin = begin_of(fleet.is_suspended, RECENT_DAYS)

    def of_account(values: Array, at: Cells) -> Array:
        found: Array = (
            values.take(users.account, axis=1)
            if at is ALL_CELLS
            else values[at[0], users.account[at[1]]]
        )
        return found

    def with_account(at: Cells) -> Cells:
        day = np.arange(shape[0])[:, None] if at is ALL_CELLS else at[0]
        return day, users.account[at[1]]

    def own_points(at: Cells) -> Array:
        asked, place = np.unique(np.arange(shape[1])[at[1]], return_inverse=True)
        total = running_sum(users.points[:, asked])
        return trailing(total, fleet.window_days)[at[0], place]

    def status(at: Cells) -> pl.Series:
        known = of_account(block.presence.status, at)
        return _status(np.where(users.scored[at], known, UNKNOWN))

    def rate(at: Cells) -> pl.Series:
        units = of_account(block.user_step_units, at)
        return _number(rounded_ratio(users.completed_units[at], units))

    def points(values: Array) -> pl.Series:
        return _number(rounded_ratio(values, UNITS_PER_POINT))

    def of(values: Array, told: Callable[[Array], pl.Series]) -> Fact:
        return lambda at: told(np.broadcast_to(values, shape)[at])

    return {
        "account_status": status,
        "active_day_count": lambda at: _small_count(
            trailing(active_days, fleet.window_days, at=at)
        ),
        "engagement_points": lambda at: points(own_points(at)),
        "account_engagement_points": lambda at: points(
            trailing(block.total_points, fleet.window_days, at=with_account(at))
        ),
        "engagement_score": of(users.score, _rate),
        "window_days": of(np.array(fleet.window_days), _count),
        "activation_rate": rate,
        "member_days": of(np.arange(shape[0])[:, None] - users.first_seen, _count),
        "active_day_count_14d": lambda at: _small_count(between(working_days, begin, after, at)),
        "usual_active_days_14d": lambda at: _number(
            between(active_days, np.maximum(begin - USUAL_DAYS, 0), begin, at)
            * RECENT_DAYS
            / USUAL_DAYS
        ),
        "account_active_users_14d": lambda at: _number(
            between(account_active, begin, after, with_account(at)).astype(np.float64)
        ),
        "account_activation_rate": lambda at: _rate(
            of_account(block.numbers["activation_rate"], at)
        ),
        "is_benchmark_thin": of(fleet.is_user_benchmark_thin[:, None], _flat),
        "as_of_date": of(span[:, None], _dates),
    }


RATES = frozenset(
    {
        "engagement_score",
        "engagement_score_avg",
        "activation_rate",
        "user_activation_rate",
        "readiness_rate",
        "top_user_share",
    }
)
"""The numbers of a block that are millionths."""


def _flat(values: Array) -> pl.Series:
    return pl.Series(np.ravel(values))


def _count(values: Array) -> pl.Series:
    return _flat(values.astype(np.int64))


def _small_count(values: Array) -> pl.Series:
    return _flat(values.astype(np.int16))


def _number(values: Array) -> pl.Series:
    return pl.Series(np.ravel(values), nan_to_null=True)


def _known(values: Array) -> pl.Series:
    flat = _flat(values)
    return flat.set(flat == UNKNOWN, None)


def _rate(values: Array) -> pl.Series:
    rates = values / MILLIONTHS
    np.copyto(rates, np.nan, where=values == UNKNOWN)
    return _number(rates)


def _dates(values: Array) -> pl.Series:
    flat = _flat(values.astype(np.int32))
    return flat.set(flat == NO_DAY, None).cast(pl.Date)


def _status(values: Array) -> pl.Series:
    flat = _flat(values.astype(np.int8))
    return flat.set(flat == UNKNOWN, None).cast(pl.UInt8).cat.to(pl.Enum(STATUSES))


def _lists(rates: Array) -> pl.Series:
    count = math.prod(rates.shape[1:])
    ordered = list(rates.reshape(len(rates), count))
    for low, high in sorting_network(len(ordered)):
        pair = ordered[low], ordered[high]
        ordered[low], ordered[high] = np.fmin(*pair), np.maximum(*pair)  # nan goes last
    cells = np.empty((count, len(rates)))
    for place, values in enumerate(ordered):
        cells[:, place] = values
    return pl.Series(cells).arr.to_list()
