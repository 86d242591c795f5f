"""The facts of the signals, read from the warehouse into the arrays of `signals.facts`.

What belongs here: which table a fact comes from, on which day it was known, how much is read at
once. What a number means stands in `orchestration.signals`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial
from itertools import pairwise, starmap
from typing import Any, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals.churn_risk import FEATURE_DAYS, ranked_days
from orchestration.signals.facts import (
    DETAILS,
    KEYS,
    NO_DAY,
    STATUSES,
    UNKNOWN,
    Block,
    Entity,
    Fleet,
    Presence,
    Span,
    Users,
    calendar_of,
    overdispersion,
    use_by_day,
)
from orchestration.signals.flags import RULES, Rule
from orchestration.signals.track_record import CHECK_WEEKDAY, check_days
from orchestration.signals.weeks import BASELINE_GAP_WEEKS, HISTORY_WEEKS, NOW_WEEKS, WEEK_DAYS

Array = npt.NDArray[Any]

MAX_CELLS = 8_000_000
"""At most so many days of accounts, and of users, are in memory at once."""

PART_CELLS = 1_200_000
"""So many days of accounts and users together are worked on at a time."""

BATCH_ROWS = 200_000
"""So many rows are read at a time."""

WORKERS = 2
"""So many parts are looked at at once: numpy and polars let other threads work meanwhile."""

AHEAD = 4
"""So many parts may wait for them, so that reading the next block does not."""

Item = TypeVar("Item")
Result = TypeVar("Result")

Details = dict[tuple[Entity, str], pl.DataFrame]
"""By entity and name what was looked up, one row per entity and day of `opened_date`."""

MOST_MOVED = 3

READS = (
    "intermediate.int_account_contracts",
    "intermediate.int_account_states",
    "intermediate.int_activation_movements",
    "intermediate.int_event_days",
    "intermediate.int_event_key_days",
    "intermediate.int_feature_days",
    "intermediate.int_fleet_days",
    "intermediate.int_membership_intervals",
    "intermediate.int_point_days",
    "intermediate.int_step_applicability",
    "intermediate.int_step_completions",
    "intermediate.int_step_rows",
    "intermediate.int_user_activation_changes",
    "marts.account_activation_daily",
    "marts.account_engagement_daily",
    "marts.accounts",
    "marts.user_accounts",
    "marts.user_engagement_daily",
    "reference.flag_rules",
    "reference.score_models",
    "reference.tracked_events",
)
"""Every table that is read here."""

# Read by every block: accounts and users get numbers, side by side for one account.
NUMBERED = """
    create or replace temp table signal_accounts as
    select
        account_id,
        first_seen_date,
        cast(row_number() over (order by account_id) - 1 as integer) as account
    from marts.accounts;

    create or replace temp table signal_users as
    select
        user_accounts.account_id,
        user_accounts.user_id,
        signal_accounts.account,
        user_accounts.first_seen_date,
        cast(
            row_number() over (order by signal_accounts.account, user_accounts.user_id) - 1
            as integer
        ) as user
    from marts.user_accounts
    inner join signal_accounts on user_accounts.account_id = signal_accounts.account_id;

    create or replace temp table signal_plans as
    select plan, row_number() over (order by plan) as code
    from marts.account_activation_daily
    where plan is not null
    group by plan
"""

VALUE_DAYS = """
    create or replace temp table signal_value_days as
    select distinct step_rows.event_key, days.event_date
    from intermediate.int_step_rows as step_rows
    inner join (
        select cast(unnest(generate_series($first_date, $as_of, interval 1 day)) as date)
            as event_date
    ) as days
        on days.event_date between step_rows.valid_from and step_rows.valid_to
    where step_rows.is_flagship
"""

PRESENT = """
    select
        date_diff('day', $first_date, daily.date) * $width + signal_accounts.account - $low as cell,
        cast(daily.user_count as integer) as members,
        cast(coalesce(list_position($statuses, daily.account_status) - 1, 0) as tinyint) as status,
        cast(coalesce(signal_plans.code, 0) as integer) as plan
    from marts.account_activation_daily as daily
    inner join signal_accounts on daily.account_id = signal_accounts.account_id
    left join signal_plans on daily.plan = signal_plans.plan
    where signal_accounts.account >= $low and signal_accounts.account < $high
        and daily.date <= $as_of
"""

ACTIVE_USERS = """
    select
        date_diff('day', $first_date, point_days.event_date) * $width
            + signal_accounts.account - $low as cell
    from intermediate.int_point_days as point_days
    inner join signal_accounts on point_days.account_id = signal_accounts.account_id
    where point_days.score_model = 'default' and point_days.day_points > 0
        and signal_accounts.account >= $low and signal_accounts.account < $high
        and point_days.event_date between $first_date and $as_of
"""

# Millionths by way of a double, which holds them exactly: 128-bit decimals take far longer.
RATES = """
    select
        date_diff('day', $first_date, daily.date) * $width + signal_accounts.account - $low as cell,
        cast(coalesce(daily.activation_rate * 1e6, -1) as integer) as activation_rate,
        cast(coalesce(daily.user_activation_rate * 1e6, -1) as integer) as user_activation_rate,
        cast(coalesce(daily.readiness_rate * 1e6, -1) as integer) as readiness_rate
    from marts.account_activation_daily as daily
    inner join signal_accounts on daily.account_id = signal_accounts.account_id
    where signal_accounts.account >= $low and signal_accounts.account < $high
        and daily.date <= $as_of
"""

SCORES = """
    select
        date_diff('day', $first_date, daily.date) * $width + signal_accounts.account - $low as cell,
        cast(coalesce(daily.engagement_score * 1e6, -1) as integer) as engagement_score,
        cast(coalesce(daily.engagement_score_avg * 1e6, -1) as integer) as engagement_score_avg,
        cast(daily.active_user_count as integer) as active_user_count,
        cast(coalesce(daily.top_user_share * 1e6, -1) as integer) as top_user_share,
        daily.is_benchmark_thin
    from marts.account_engagement_daily as daily
    inner join signal_accounts on daily.account_id = signal_accounts.account_id
    where daily.is_default_model
        and signal_accounts.account >= $low and signal_accounts.account < $high
        and daily.date <= $as_of
"""

VALUE_EVENTS = """
    select
        date_diff('day', $first_date, days.event_date) * $width
            + signal_accounts.account - $low as cell,
        cast(days.event_count as integer) as value_events
    from intermediate.int_event_key_days as days
    inner join signal_accounts on days.account_id = signal_accounts.account_id
    where days.event_date between $first_date and $as_of
        and signal_accounts.account >= $low and signal_accounts.account < $high
        and (days.event_key, days.event_date) in (
            select (event_key, event_date) from signal_value_days
        )
"""

CONTRACTS = """
    select
        cast(greatest(date_diff('day', $first_date, contracts.valid_from), 0) as integer) as day,
        signal_accounts.account - $low as entity,
        coalesce(
            contracts.trait_count, date_diff('day', date '1970-01-01', contracts.trait_date), $none
        ) as value
    from intermediate.int_account_contracts as contracts
    inner join signal_accounts on contracts.account_id = signal_accounts.account_id
    where contracts.trait = $trait and contracts.valid_from <= $as_of
        and signal_accounts.account >= $low and signal_accounts.account < $high
    order by contracts.valid_from
"""

# What applies and what is done changes on some days only; sums over the days give the rest.
FLAGSHIP_CHANGES = """
    with

    flagships as (

        select step_row, level, dense_rank() over (order by step_key) - 1 as flagship
        from intermediate.int_step_rows
        where is_flagship

    ),

    applicability as (

        select
            flagships.flagship,
            flagships.level,
            flagships.step_row,
            signal_accounts.account,
            applicability.account_id,
            applicability.valid_from,
            applicability.valid_to
        from intermediate.int_step_applicability as applicability
        inner join flagships on applicability.step_row = flagships.step_row
        inner join signal_accounts on applicability.account_id = signal_accounts.account_id
        where applicability.basis = 'scored'
            and signal_accounts.account >= $low and signal_accounts.account < $high

    ),

    done as (

        select
            applicability.flagship,
            applicability.account,
            greatest(
                applicability.valid_from,
                completions.valid_from,
                coalesce(members.valid_from, completions.valid_from)
            ) as valid_from,
            least(
                applicability.valid_to,
                completions.valid_to,
                coalesce(members.valid_to, completions.valid_to)
            ) as valid_to
        from applicability
        inner join intermediate.int_step_completions as completions
            on
                applicability.step_row = completions.step_row
                and applicability.account_id = completions.account_id
        left join intermediate.int_membership_intervals as members
            on
                completions.account_id = members.account_id
                and completions.user_id = members.user_id
        where applicability.level = 'account' or members.user_id is not null

    ),

    stretches as (

        select flagship, account, 1 as applicable, 0 as done, level = 'user' as per_member,
            valid_from, valid_to
        from applicability

        union all

        select flagship, account, 0, 1, false, valid_from, valid_to
        from done
        where valid_from <= valid_to

    ),

    changes as (

        select flagship, account, applicable, done, per_member::int as per_member,
            valid_from as date_day
        from stretches

        union all

        select flagship, account, -applicable, -done, -(per_member::int), valid_to + 1
        from stretches

    )

    select
        flagship,
        cast(greatest(date_diff('day', $first_date, date_day), 0) as integer) as day,
        account - $low as entity,
        cast(sum(applicable) as integer) as applicable,
        cast(sum(done) as integer) as done,
        cast(sum(per_member) as integer) as per_member
    from changes
    where date_day <= $as_of
    group by all
    order by day
"""

STEP_UNITS = """
    select
        cast(greatest(date_diff('day', $first_date, movements.date_day), 0) as integer) as day,
        signal_accounts.account - $low as entity,
        movements.applicable_units as units
    from intermediate.int_activation_movements as movements
    inner join signal_accounts on movements.account_id = signal_accounts.account_id
    where movements.basis = 'scored' and movements.level = 'user' and movements.user_id = ''
        and movements.date_day <= $as_of
        and signal_accounts.account >= $low and signal_accounts.account < $high
"""

USER_POINTS = """
    select
        date_diff('day', $first_date, point_days.event_date) * $width
            + signal_users.user - $low_user as cell,
        cast(point_days.day_points * 10000 as bigint) as points
    from intermediate.int_point_days as point_days
    inner join signal_users
        on
            point_days.account_id = signal_users.account_id
            and point_days.user_id = signal_users.user_id
    where point_days.score_model = 'default' and point_days.day_points > 0
        and signal_users.account >= $low and signal_users.account < $high
        and point_days.event_date between $first_date and $as_of
"""

USER_SCORES = """
    select
        date_diff('day', $first_date, daily.date) * $width + signal_users.user - $low_user as cell,
        cast(coalesce(daily.engagement_score * 1e6, -1) as integer) as score
    from marts.user_engagement_daily as daily
    inner join signal_users
        on daily.account_id = signal_users.account_id and daily.user_id = signal_users.user_id
    where daily.is_default_model and daily.date <= $as_of
        and signal_users.account >= $low and signal_users.account < $high
"""

USER_UNITS = """
    select
        cast(greatest(date_diff('day', $first_date, changes.date_day), 0) as integer) as day,
        signal_users.user - $low_user as entity,
        changes.completed_units as value
    from intermediate.int_user_activation_changes as changes
    inner join signal_users
        on changes.account_id = signal_users.account_id and changes.user_id = signal_users.user_id
    where changes.basis = 'scored' and changes.date_day <= $as_of
        and signal_users.account >= $low and signal_users.account < $high
    order by changes.date_day
"""

USER_BENCHMARKS = """
    select
        date_diff('day', $first_date, date) as cell,
        bool_or(is_benchmark_thin) as is_thin
    from marts.user_engagement_daily
    where is_default_model and date between $first_date and $as_of
    group by date
"""

# Features as bits, so that windows over weeks are cheap; weeks end on the days of the checks.
FEATURE_WEEKS = """
    with

    features as (

        select feature, row_number() over (order by feature) - 1 as code
        from reference.tracked_events
        where feature is not null
        group by feature

    ),

    used as not materialized (

        select
            signal_accounts.account,
            features.code,
            date_diff('day', $first_date, feature_days.event_date) as day,
            feature_days.event_date
        from intermediate.int_feature_days as feature_days
        inner join features on feature_days.feature = features.feature
        inner join signal_accounts on feature_days.account_id = signal_accounts.account_id
        where feature_days.event_date between $first_date and $as_of

    ),

    weeks as (

        select account, code, cast(ceil((day - $first_check) / 7) as bigint) as week
        from used

        union all

        select account, code, $last_week
        from used
        where event_date > $as_of - $feature_days

    )

    select
        account as entity,
        week,
        code // 62 as part,
        bit_or(cast(1 as bigint) << cast(code % 62 as integer)) as bits
    from weeks
    group by all
"""

COLLAPSES = """
    select date_diff('day', $first_date, date_day) as day
    from intermediate.int_fleet_days
    where is_collapsed and date_day between $first_date and $as_of
"""

OUTCOMES = """
    with

    statuses as (

        select
            account_id,
            account_status,
            lag(account_status) over (partition by account_id order by valid_from) as before,
            valid_from
        from intermediate.int_account_states

    ),

    amounts as (

        select
            account_id,
            trait_count,
            lag(trait_count) over (partition by account_id, trait order by valid_from) as before,
            valid_from
        from intermediate.int_account_contracts
        where trait in ('seats', 'mrr')

    ),

    outcomes as (

        select account_id, 'canceled' as outcome, valid_from
        from statuses
        where account_status = 'canceled' and before is distinct from 'canceled'

        union

        select account_id, 'grown' as outcome, valid_from
        from statuses
        where account_status = 'paid' and before in ('trial', 'expired')

        union

        select account_id, 'grown' as outcome, valid_from
        from amounts
        where trait_count > before

    )

    select
        signal_accounts.account,
        cast(date_diff('day', $first_date, outcomes.valid_from) as integer) as day,
        outcomes.outcome
    from outcomes
    inner join signal_accounts on outcomes.account_id = signal_accounts.account_id
    where outcomes.valid_from between $first_date and $as_of
    order by 1, 2, 3
"""

DETAILS_OF: Mapping[Entity, Mapping[str, str]] = {
    "account": {
        "missing_steps": """
            select
                opened.place,
                string_agg(steps.step_key, ',' order by steps.step_row) as missing_steps
            from opened
            inner join intermediate.int_step_applicability as applicability
                on
                    opened.account_id = applicability.account_id
                    and opened.opened_date between
                        applicability.valid_from and applicability.valid_to
            inner join intermediate.int_step_rows as steps
                on applicability.step_row = steps.step_row and steps.level = 'account'
            left join intermediate.int_step_completions as completions
                on
                    applicability.step_row = completions.step_row
                    and opened.account_id = completions.account_id
                    and completions.user_id = ''
                    and opened.opened_date between completions.valid_from and completions.valid_to
            where applicability.basis = 'scored' and completions.step_row is null
            group by opened.place
        """,
        "flagship_steps": """
            with rates as (
                select
                    opened.place,
                    steps.step_key,
                    steps.step_name,
                    steps.level,
                    count(completions.step_row) filter (
                        where steps.level = 'account' or members.user_id is not null
                    ) as done,
                    any_value(
                        case when steps.level = 'account' then 1 else daily.user_count end
                    ) as entities
                from opened
                inner join intermediate.int_step_applicability as applicability
                    on
                        opened.account_id = applicability.account_id
                        and opened.opened_date between
                            applicability.valid_from and applicability.valid_to
                inner join intermediate.int_step_rows as steps
                    on applicability.step_row = steps.step_row and steps.is_flagship
                inner join marts.account_activation_daily as daily
                    on opened.account_id = daily.account_id and opened.opened_date = daily.date
                left join intermediate.int_step_completions as completions
                    on
                        applicability.step_row = completions.step_row
                        and opened.account_id = completions.account_id
                        and opened.opened_date between
                            completions.valid_from and completions.valid_to
                left join intermediate.int_membership_intervals as members
                    on
                        completions.account_id = members.account_id
                        and completions.user_id = members.user_id
                        and opened.opened_date between members.valid_from and members.valid_to
                where applicability.basis = 'scored'
                group by opened.place, steps.step_key, steps.step_name, steps.level
            )
            select
                place,
                list(
                    struct_pack(
                        step_key := step_key,
                        step_name := step_name,
                        level := level,
                        completed_rate := round(done / nullif(entities, 0), 6)
                    )
                    order by step_key
                ) as flagship_steps
            from rates
            group by place
        """,
        "last_seen_date": """
            select opened.place, max(days.event_date) as last_seen_date
            from opened
            inner join intermediate.int_event_days as days
                on opened.account_id = days.account_id and days.event_date <= opened.opened_date
            group by opened.place
        """,
        "event_movers": """
            select opened.place, days.event_key as name, days.event_count as amount,
                date_diff('day', days.event_date, opened.opened_date) as age
            from opened
            inner join intermediate.int_event_key_days as days
                on
                    opened.account_id = days.account_id
                    and days.event_date between opened.opened_date - $past and opened.opened_date
        """,
        "user_movers": """
            select opened.place, days.user_id as name, days.day_points as amount,
                date_diff('day', days.event_date, opened.opened_date) as age
            from opened
            inner join intermediate.int_point_days as days
                on
                    opened.account_id = days.account_id
                    and days.score_model = 'default'
                    and days.event_date between opened.opened_date - $past and opened.opened_date
        """,
    },
    "user": {
        "last_seen_date": """
            select opened.place, max(days.event_date) as last_seen_date
            from opened
            inner join intermediate.int_event_days as days
                on
                    opened.account_id = days.account_id
                    and opened.user_id = days.user_id
                    and days.event_date <= opened.opened_date
            group by opened.place
        """,
    },
}
"""What is looked up for flags that open, by entity and column of `facts.DETAILS`."""

# The names whose weekly amount moved most between the baseline's weeks and the last ones.
MOVERS = f"""
    with sums as (
        select
            amounts.place,
            amounts.name,
            greatest(any_value(opened.baseline_weeks), 1) as weeks,
            coalesce(
                sum(amount) filter (
                    where age >= {BASELINE_GAP_WEEKS * WEEK_DAYS}
                    and age < {WEEK_DAYS} * ({BASELINE_GAP_WEEKS} + opened.baseline_weeks)
                ),
                0
            ) as before,
            coalesce(sum(amount) filter (where age < {NOW_WEEKS * WEEK_DAYS}), 0) as now
        from ({{amounts}}) as amounts
        inner join opened on amounts.place = opened.place
        group by amounts.place, amounts.name
    ),
    -- compared as whole numbers: with {NOW_WEEKS} times the baseline's weeks each
    moved as (
        select *, abs(now * weeks - before * {NOW_WEEKS}) as move from sums
    ),
    ranked as (
        select
            place,
            move,
            name,
            round(cast(before as double) / weeks, 6) as before,
            round(cast(now as double) / {NOW_WEEKS}, 6) as now
        from moved
        where move > 0
        qualify row_number() over (partition by place order by move desc, name) <= {MOST_MOVED}
    )
    select
        place,
        list(struct_pack(name := name, before := before, now := now) order by move desc, name)
            as {{column}}
    from ranked
    group by place
"""


def in_turn(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Work on some items at a time, while the next ones are read; results in their order."""
    with ThreadPoolExecutor(WORKERS) as pool:
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > AHEAD:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


class FactReader:
    """Reads facts of the warehouse, with what was known on each day.

    Args:
        connection: An open warehouse with the marts of the as-of date.
        as_of: The last day.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, as_of: date) -> None:
        """Number the accounts and users."""
        self.connection = connection
        connection.execute(NUMBERED)
        first_date, self.account_count, self.user_count = connection.execute(
            """
            select
                min(first_seen_date), count(*), (select count(*) from signal_users)
            from signal_accounts where first_seen_date <= ?
            """,
            [as_of],
        ).fetchall()[0]
        self.span = Span(first_date or as_of, (as_of - (first_date or as_of)).days + 1)
        self.as_of = as_of
        connection.execute(VALUE_DAYS, {"first_date": self.span.first_date, "as_of": as_of})
        accounts = self._read(
            """
            select
                date_diff('day', $first_date, any_value(signal_accounts.first_seen_date))
                    as first_seen,
                count(signal_users.user) as users
            from signal_accounts
            left join signal_users on signal_accounts.account = signal_users.account
            group by signal_accounts.account order by signal_accounts.account
            """
        )
        self.first_seen, self.users = accounts["first_seen"], accounts["users"]
        (self.plan_count,) = connection.execute("select 1 + count(*) from signal_plans").fetchall()[
            0
        ]

    def fleet(self) -> tuple[Fleet, deque[Presence]]:
        """Read what is the same for everybody on a day.

        Returns:
            It, and who is there on which day, of all accounts, as they are cut into blocks.
        """
        present: deque[Presence] = deque()

        def read() -> Iterator[Presence]:
            for low, high in ranges:
                present.append(self._presence(low, high))
                yield from parts(low, high, present[-1])

        def parts(low: int, high: int, some: Presence) -> Iterator[Presence]:
            return starmap(some.part, self._parts(low, high))

        ranges = list(self._ranges()) or [(0, 0)]
        total = partial(Presence.totals, plans=self.plan_count, days=self.span.count)
        calendar = calendar_of(in_turn(total, read()))
        again = (
            part
            for (low, high), some in zip(ranges, present, strict=True)
            for part in parts(low, high, some)
        )
        measured = in_turn(partial(use_by_day, calendar=calendar), again)
        is_suspended = np.zeros(self.span.count, dtype=bool)
        is_suspended[self._read(COLLAPSES)["day"]] = True
        thin = self._matrices(USER_BENCHMARKS, 1, {"is_thin": (bool, True)})["is_thin"]
        (window_days,) = self.connection.execute(
            "select window_days from reference.score_models where score_model = 'default'"
        ).fetchall()[0]
        fleet = Fleet(
            window_days=window_days,
            is_suspended=is_suspended,
            is_user_benchmark_thin=thin[:, 0],
            calendar=calendar,
            overdispersion=overdispersion(measured, self.span.count),
        )
        return fleet, present

    def blocks(self, present: deque[Presence]) -> Iterator[Block]:
        """Read all accounts with their users, block by block, in parts of a handy size.

        Args:
            present: From `fleet`; what has become a block is taken out.
        """
        for low, high in self._ranges():
            block = self._block(low, high, present.popleft())
            for accounts, first in self._parts(low, high):
                yield block.part(accounts, first)

    def outcomes(self) -> pl.DataFrame:
        """Read what became of the accounts: `account`, `day` and `outcome`."""
        bounds = {"first_date": self.span.first_date, "as_of": self.as_of}
        found: pl.DataFrame = self.connection.sql(OUTCOMES, params=bounds).pl()
        return found

    def feature_counts(self) -> Array:
        """Count the product features of each account's last days.

        Returns:
            Shape (accounts, ranked days): distinct features used in FEATURE_DAYS.
        """
        days = ranked_days(self.span)
        checks = check_days(self.span)
        # Also accounts that come later: they are in the blocks, and have used nothing.
        accounts = len(self.first_seen)
        first_check = (-int(self.span.dates[0]) - CHECK_WEEKDAY) % WEEK_DAYS
        rows = self._read(
            FEATURE_WEEKS,
            first_check=first_check,
            last_week=len(checks) + 1,
            feature_days=FEATURE_DAYS,
        )
        counts = np.zeros((accounts, len(days)), dtype=np.int64)
        for part in np.unique(rows["part"]):
            own = rows["part"] == part
            bits = np.zeros((accounts, len(checks) + 2), dtype=np.int64)
            bits[rows["entity"][own], rows["week"][own]] = rows["bits"][own]
            seen = bits[:, : len(checks)].copy()
            for age in range(1, FEATURE_DAYS // WEEK_DAYS):
                seen[:, age:] |= bits[:, : len(checks)][:, : len(checks) - age]
            last = np.bitwise_count(bits[:, -1:])
            counts += np.hstack([np.bitwise_count(seen), last])[:, : len(days)]
        return counts

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Cut the accounts so that a block's days of accounts and of users fit in memory."""
        most = max(1, MAX_CELLS // self.span.count)
        low = counted = 0
        for account, count in enumerate(self.users.tolist()):
            size = max(1, count)
            if account > low and counted + size > most:
                yield low, account
                low, counted = account, 0
            counted += size
        if low < len(self.users):
            yield low, len(self.users)

    def _parts(self, low: int, high: int) -> Iterator[tuple[Array, int]]:
        """Cut a block's accounts into parts, those that came first together.

        Yields:
            Their places in the block, and the first day on which any of them was seen.
        """
        seen = self.first_seen[low:high]
        places = np.argsort(seen, kind="stable")
        while True:
            # Who is seen first after the as-of date has nothing to show.
            first = int(min([*seen[places[:1]], self.span.count - 1]))
            cells = np.cumsum(1 + self.users[low:high][places]) * (self.span.count - first)
            most = max(1, int(np.searchsorted(cells, PART_CELLS, side="right")))
            yield np.sort(places[:most]), first
            places = places[most:]
            if not len(places):
                return

    def _bound(self, query: str, values: Mapping[str, Any]) -> duckdb.DuckDBPyRelation:
        wanted = {"first_date": self.span.first_date, "as_of": self.as_of, **values}
        bound = {name: value for name, value in wanted.items() if f"${name}" in query}
        return self.connection.sql(query, params=bound)

    def _read(self, query: str, **values: Any) -> dict[str, Array]:  # noqa: ANN401 - bound values
        rows = self._bound(query, values).pl()
        return {column.name: column.to_numpy() for column in rows}

    def _batches(self, query: str, values: Mapping[str, Any]) -> Iterator[dict[str, Array]]:
        """Read many rows some at a time, so that they never are in memory all at once."""
        for batch in self._bound(query, values).to_arrow_reader(BATCH_ROWS):
            yield {
                name: column.to_numpy(zero_copy_only=False)
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }

    def _matrices(
        self,
        query: str,
        width: int,
        columns: Mapping[str, tuple[Any, Any]],
        **values: Any,  # noqa: ANN401 - bound values
    ) -> dict[str, Array]:
        """Put rows of (cell, ...) into matrices, by column its type and what stands elsewhere."""
        shape = (self.span.count, width)
        matrices = {
            name: np.full(shape, default, dtype=kind) for name, (kind, default) in columns.items()
        }
        for rows in self._batches(query, {"width": width, **values}):
            for name, matrix in matrices.items():
                matrix.ravel()[rows["cell"]] = rows[name]
        return matrices

    def _added(self, query: str, width: int, name: str | None, **bounds: int) -> Array:
        """Add up, or count, rows of the same cell."""
        matrix = np.zeros((self.span.count, width), dtype=np.int32)
        for rows in self._batches(query, {"width": width, **bounds}):
            np.add.at(matrix.ravel(), rows["cell"], np.int32(1) if name is None else rows[name])
        return matrix

    def _carried(
        self,
        rows: Mapping[str, Array],
        width: int,
        default: int,
        kind: type[np.signedinteger[Any]] = np.int64,
    ) -> Array:
        """Put rows of (day, entity, value), oldest first, into a matrix; each holds on."""
        matrix = np.empty((self.span.count, width), dtype=kind)
        current = np.full(width, default, dtype=kind)
        for day, changed in enumerate(self._days_of(rows)):
            current[rows["entity"][changed]] = rows["value"][changed]
            matrix[day] = current
        return matrix

    def _days_of(self, rows: Mapping[str, Array]) -> Iterator[slice]:
        """Say for every day which rows are its own; they come day by day."""
        bounds = np.searchsorted(rows["day"], np.arange(self.span.count + 1)).tolist()
        return starmap(slice, pairwise(bounds))

    def _presence(self, low: int, high: int) -> Presence:
        """Read who of some accounts is there."""
        columns = {"members": (np.int32, 0), "status": (np.int8, UNKNOWN), "plan": (np.int32, 0)}
        bounds = {"low": low, "high": high}
        known = self._matrices(PRESENT, high - low, columns, **bounds, statuses=list(STATUSES))
        active_users = self._added(ACTIVE_USERS, high - low, None, **bounds)
        return Presence(self.span, active_users, **known)

    def _block(self, low: int, high: int, presence: Presence) -> Block:
        accounts = high - low
        bounds = {"low": low, "high": high}
        rates = ("activation_rate", "user_activation_rate", "readiness_rate")
        scores = ("engagement_score", "engagement_score_avg", "active_user_count", "top_user_share")
        numbers = self._matrices(
            RATES, accounts, dict.fromkeys(rates, (np.int32, UNKNOWN)), **bounds
        ) | self._matrices(
            SCORES,
            accounts,
            {**dict.fromkeys(scores, (np.int32, UNKNOWN)), "is_benchmark_thin": (bool, True)},
            **bounds,
        )
        is_thin = numbers.pop("is_benchmark_thin")
        dates = {
            f"{trait.removesuffix('_at')}_date": self._carried(
                *(self._read(CONTRACTS, **bounds, trait=trait, none=NO_DAY), accounts, NO_DAY),
                kind=np.int32,
            )
            for trait in ("trial_ends_at", "contract_started_at", "contract_ends_at")
        }
        seats = self._carried(
            self._read(CONTRACTS, **bounds, trait="seats", none=UNKNOWN), accounts, UNKNOWN
        )
        keys = self.connection.sql(
            """
            select account_id from signal_accounts
            where account >= $low and account < $high order by account
            """,
            params=bounds,
        ).pl()
        users = self._users(low, high)
        return Block(
            presence=presence,
            account=np.arange(low, high),
            keys=keys,
            first_seen=self.first_seen[low:high],
            points=users.per_account(np.add, users.points, accounts),
            value_events=self._added(VALUE_EVENTS, accounts, "value_events", **bounds),
            numbers=numbers | {"seat_count": seats},
            dates=dates,
            is_benchmark_thin=is_thin,
            flagship_rates=self._flagship_rates(low, high, presence.members),
            user_step_units=self._step_units(low, high),
            users=users,
        )

    def _step_units(self, low: int, high: int) -> Array:
        """Sum the changes of what applies over the days."""
        rows = self._read(STEP_UNITS, low=low, high=high)
        units = np.zeros((self.span.count, high - low), dtype=np.int64)
        np.add.at(units, (rows["day"], rows["entity"]), rows["units"])
        for day in range(1, len(units)):
            units[day] += units[day - 1]
        return units

    def _flagship_rates(self, low: int, high: int, members: Array) -> Array:
        rows = self._read(FLAGSHIP_CHANGES, low=low, high=high)
        count = int(rows["flagship"].max()) + 1 if len(rows["flagship"]) else 0
        rates = np.full((count, self.span.count, high - low), np.nan, dtype=np.float32)
        applicable, done, per_member = np.zeros((3, count, high - low), dtype=np.int32)
        for day, changed in enumerate(self._days_of(rows)):
            at = rows["flagship"][changed], rows["entity"][changed]
            applicable[at] += rows["applicable"][changed]
            done[at] += rows["done"][changed]
            per_member[at] += rows["per_member"][changed]
            entities = np.where(per_member > 0, members[day], 1)
            np.divide(done, entities, out=rates[:, day], where=(applicable > 0) & (entities > 0))
        return rates

    def _users(self, low: int, high: int) -> Users:
        keys = self.connection.sql(
            """
            select
                account_id,
                user_id,
                account - $low as account,
                date_diff('day', $first_date, first_seen_date) as first_seen,
                user
            from signal_users where account >= $low and account < $high order by user
            """,
            params={"low": low, "high": high, "first_date": self.span.first_date},
        ).pl()
        first = keys["user"].min() if keys.height else 0
        bounds = {"low": low, "high": high, "low_user": first}
        points = self._matrices(USER_POINTS, keys.height, {"points": (np.int64, 0)}, **bounds)
        scores = self._matrices(USER_SCORES, keys.height, {"score": (np.int32, UNKNOWN)}, **bounds)
        return Users(
            keys=keys.select(KEYS["user"]),
            account=keys["account"].to_numpy(),
            first_seen=keys["first_seen"].to_numpy(),
            points=points["points"],
            scored=scores["score"] != UNKNOWN,
            score=scores["score"],
            completed_units=self._carried(self._read(USER_UNITS, **bounds), keys.height, 0),
        )

    def details(self, opened: Mapping[str, pl.DataFrame]) -> Details:
        """Look up what only evidence needs; once for all flags that show it.

        Args:
            opened: By flag key one row per flag, with the entity's keys and `opened_date`.

        Returns:
            By entity and name the columns of `facts.DETAILS` that any of them shows.
        """
        found: Details = {}
        for entity, columns in DETAILS.items():
            rules = [RULES[key] for key in opened if RULES[key].entity == entity]
            for name in columns:
                asking = [opened[rule.key] for rule in rules if name in rule.shown]
                if asking:
                    found[entity, name] = self._detail(entity, name, asking)
        return found

    def _detail(self, entity: Entity, name: str, opened: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Look up one column for every entity and day on which any of these flags opened."""
        keys = _flag_keys(entity)
        asked = (
            pl.concat(rows.select(*keys, baseline_weeks=_baseline_weeks(rows)) for rows in opened)
            .unique(keys, maintain_order=True)
            .with_row_index("place")
        )
        query = DETAILS_OF[entity][name]
        if name.endswith("_movers"):
            query = MOVERS.format(amounts=query, column=name)
        self.connection.register("opened", asked)
        try:
            past = {"past": HISTORY_WEEKS * WEEK_DAYS - 1} if "$past" in query else {}
            found = self.connection.sql(query, params=past).pl()
        finally:
            self.connection.unregister("opened")
        found = found.select(
            pl.col("place").cast(pl.UInt32), pl.col(name).cast(DETAILS[entity][name])
        )
        told = asked.join(found, on="place", how="left").select(*keys, name)
        return told.with_columns(pl.col(name).fill_null("")) if name == "missing_steps" else told


def with_details(opened: pl.DataFrame, rule: Rule, details: Details) -> pl.DataFrame:
    """Add to a rule's flags what was looked up for them; what the rule does not show is null."""
    keys = _flag_keys(rule.entity)
    for name, kind in DETAILS[rule.entity].items():
        opened = (
            opened.join(details[rule.entity, name], keys, "left", maintain_order="left")
            if name in rule.shown
            else opened.with_columns(pl.lit(None, kind).alias(name))
        )
    return opened


def _flag_keys(entity: Entity) -> list[str]:
    return [*KEYS[entity], "opened_date"]


def _baseline_weeks(opened: pl.DataFrame) -> pl.Expr:
    if "weeks_observed" not in opened.columns:
        return pl.lit(0, pl.Int64)
    most = HISTORY_WEEKS - BASELINE_GAP_WEEKS
    return (pl.col("weeks_observed") - BASELINE_GAP_WEEKS).clip(0, most)
