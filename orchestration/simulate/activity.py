"""Event rows: who did what when, and what delivery made of it. One SQL pass per stretch of days.

Every draw is a hash of (seed, member, day, number), so neither threads nor the cut into stretches
change a row. `fate` is what a row is planted as; it is counted for the truths and not written.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
from numpy.random import default_rng

from orchestration.simulate import catalog
from orchestration.simulate.fleet import EXCLUDED, LONE, NORMAL, VISITOR, Fleet
from orchestration.simulate.stories import RHYTHMS

ROWS_PER_FILE = 3_000_000
HOLIDAY_SHARE = 0.3
FORTNIGHT = 14
LONG_ENOUGH_FOR_A_HOLIDAY = 70

DOUBLES = 0.008
BAD_ROWS = 0.0012
SCRIPTED_AT_MOST = 0.3
"""Scripted rows (first steps of new users and the like) as a share of all rows, at most."""

_NUMBERS = 16384
"""Room for the events of one member and day in a row's key."""

FATES = (
    "counted",
    "duplicate",
    "excluded",
    "anonymous",
    "waiting",
    "missing_id",
    "missing_event",
    "bad_timestamp",
    "no_identity",
)


@dataclass(frozen=True)
class Calendar:
    """The days of a simulation; day 0 is `first_date`.

    `rename_day` starts the fortnight in which users move to the client with the new event name;
    `holiday_day` starts the fortnight in which everybody is away, None in short histories.
    """

    first_date: date
    days: int

    @property
    def last_date(self) -> date:
        """The last day with events."""
        return self.date_of(self.days - 1)

    @property
    def rename_day(self) -> int:
        """The first day on which the new name occurs."""
        return self.days * 2 // 3

    @property
    def holiday_day(self) -> int | None:
        """The Monday on which the holiday starts."""
        if self.days < LONG_ENOUGH_FOR_A_HOLIDAY:
            return None
        start = self.days * 2 // 5
        return start + (-self.date_of(start).weekday()) % 7

    def date_of(self, day: int) -> date:
        """The date of a day of the history."""
        return self.first_date + timedelta(days=day)

    def share_of_day(self, day: int, rhythm: int) -> float:
        """How active a day is for accounts of a rhythm."""
        share = RHYTHMS[rhythm][self.date_of(day).weekday()]
        if self.holiday_day is not None and 0 <= day - self.holiday_day < FORTNIGHT:
            share *= HOLIDAY_SHARE
        return share

    def stretches(self, events: int) -> list[tuple[int, int]]:
        """Cut the history by calendar month, and finer where a month has too many rows.

        Returns:
            First and last day of each stretch, in order, without gaps.
        """
        longest = max(1, ROWS_PER_FILE * self.days // max(events, 1))
        cuts = []
        start = 0
        for day in range(1, self.days + 1):
            month_begins = self.date_of(day).day == 1
            if day == self.days or month_begins or day - start >= longest:
                cuts.append((start, day - 1))
                start = day
        return cuts


@dataclass
class TrackCounts:
    """What was planted among the event rows."""

    by_fate: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FATES, 0))
    inside_counted: dict[str, int] = field(default_factory=dict)
    by_event: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.by_fate.values())


def _share(column: str, shift: int, bits: int) -> str:
    """A uniform number in [0, 1) from some bits of a hash."""
    return f"((({column} >> {shift}) & {2**bits - 1}) / {2**bits}.0)"


def _small(column: str, shift: int, bits: int) -> str:
    """A whole number from some bits of a hash."""
    return f"(({column} >> {shift}) & {2**bits - 1})::BIGINT"


def _mix_salts(seed: int) -> list[int]:
    return [int(s) for s in default_rng([seed, 2]).integers(0, 1 << 62, size=8)]


class ActivityWriter:
    """Draws the event rows of a fleet into a folder of Parquet files."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        fleet: Fleet,
        calendar: Calendar,
        *,
        events: int,
        seed: int,
    ) -> None:
        self.con = con
        self.calendar = calendar
        self.events = events
        self.salt = _mix_salts(seed)
        self.counts = TrackCounts()
        self._load(fleet)
        self.scale = self._scale()

    def write(self, folder: Path, progress: Callable[[str], None]) -> TrackCounts:
        """Write one file per stretch of days, named by its first date, in order of arrival.

        Args:
            folder: an existing, empty folder.
            progress: told a sentence after each file.
        """
        stretches = self.calendar.stretches(self.events)
        self._draw(0, -1)
        self._deliver()
        self.con.execute("create temp table underway as from rows")
        for first_day, last_day in stretches:
            self._draw(first_day, last_day)
            self._deliver()
            self._add_shared_device_events(first_day, last_day)
            if last_day == self.calendar.days - 1:
                self._add_waiting(last_day)
            name = f"tracks-{self.calendar.date_of(first_day)}.parquet"
            self._write_arrived(folder / name, last_day)
            self.counts.files.append(name)
            progress(f"{name}: {self.counts.total:,} of about {self.events:,} events")
        self.counts.by_event = dict(sorted(self.counts.by_event.items()))
        return self.counts

    def _load(self, fleet: Fleet) -> None:
        con, days = self.con, range(self.calendar.days)
        self._frame("members", pl.DataFrame(fleet.members, orient="row", infer_schema_length=None))
        self._frame(
            "phases",
            pl.DataFrame(
                [
                    (number, *phase[:4], catalog.MIX_NUMBERS[phase.mix])
                    for number, phase in fleet.phases
                ],
                schema=["account_no", "first_day", "last_day", "level_from", "level_to", "mix_no"],
                orient="row",
            ),
        )
        self._frame(
            "rhythms",
            pl.DataFrame(
                {"account_no": list(fleet.rhythms), "rhythm": list(fleet.rhythms.values())}
            ),
        )
        self._frame(
            "rhythm_days",
            pl.DataFrame(
                [(r, d, self.calendar.share_of_day(d, r)) for r in RHYTHMS for d in days],
                schema=["rhythm", "day", "share"],
                orient="row",
            ),
        )
        slots, onboarding = catalog.slots(), catalog.onboarding()
        self._frame("slots", pl.DataFrame(vars(slots)))
        self._frame("first_steps", pl.DataFrame(vars(onboarding)))
        self._frame(
            "shared_device_events",
            pl.DataFrame(
                [
                    (device.day, hour * 3600 + 1800, device.anonymous_id)
                    for device in fleet.shared_devices
                    for hours in device.anonymous_hours().values()
                    for hour in hours
                ],
                schema={"day": pl.Int64, "second": pl.Int64, "anonymous_id": pl.String},
                orient="row",
            ),
        )
        # An account's weeks are busier or calmer than its level says.
        week = f"hash(xor(phases.account_no * 1024 + rhythm_days.day // 7, {self.salt[0]}))"
        con.execute(f"""
            create table account_days as
            select
                phases.account_no,
                rhythm_days.day,
                phases.mix_no,
                rhythm_days.share,
                (level_from + (level_to - level_from)
                    * (rhythm_days.day - first_day) / greatest(phases.last_day - first_day, 1))
                * (0.8 + 0.4 * {_share(week, 0, 20)}) as level
            from phases
            join rhythms on phases.account_no = rhythms.account_no
            join rhythm_days
                on rhythms.rhythm = rhythm_days.rhythm
                and rhythm_days.day between phases.first_day and phases.last_day
        """)
        self._script()

    def _frame(self, name: str, frame: pl.DataFrame) -> None:
        self.con.register("incoming", frame)
        self.con.execute(f"create table {name} as select * from incoming")
        self.con.unregister("incoming")

    def _script(self) -> None:
        """Rows that a story needs whatever the volume: first steps, and visits before sign-up."""
        draw = f"hash(xor(member_no * 64 + slot, {self.salt[1]}))"
        visit = f"hash(xor(member_no * 64 + 32 + visit, {self.salt[1]}))"
        self.con.execute(f"""
            create table script as
            with steps as (
                select
                    members.*, first_steps.*,
                    first_day + {_small("draw", 0, 16)} % if(first_day = 0, 21, 9) as day
                from members
                cross join first_steps
                cross join lateral (select {draw} as draw)
                where kind = {NORMAL} and {_share("draw", 16, 16)} < adoption
            ),
            visits as (
                select members.*, visit, {visit} as draw
                from members cross join range(3) as v(visit)
                where kind = {NORMAL} and first_day >= 3 and not in_two_accounts
            )
            select
                member_no, steps.day, {_NUMBERS} - 200 + slot as k, event, properties,
                false as is_before_sign_up
            from steps
            join account_days
                on steps.account_no = account_days.account_no
                and steps.day = account_days.day
                and steps.mix_no = account_days.mix_no
            where steps.day <= last_day
            union all
            select
                member_no, first_day - 1 - visit, {_NUMBERS} - 100 + visit,
                if(visit = 0, 'Video Viewed', 'Page Viewed'), null, true
            from visits
            where {_share("draw", 16, 16)} < 0.6
        """)
        wanted = int(self.events * SCRIPTED_AT_MOST)
        scripted = self._number("select count(*) from script")
        if scripted > wanted:
            row = f"hash(xor(member_no * {_NUMBERS} + k, {self.salt[2]}))"
            self.con.execute(
                f"delete from script where {_share(row, 0, 20)} >= {wanted / scripted!r}"
            )

    def _number(self, query: str) -> int:
        row = self.con.execute(query).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def _member_days(self, first_day: int, last_day: int) -> str:
        """Days on which members are active, with the events to expect before the scale."""
        draw = f"hash(xor(members.member_no * 4096 + account_days.day, {self.salt[3]}))"
        return f"""
            select
                member_no, day, mix_no, {_share("draw", 52, 12)} as rounding,
                rate * level * share / chance
                    * -ln((1 - {_share("draw", 20, 16)}) * (1 - {_share("draw", 36, 16)})) / 2
                    as volume
            from (
                select
                    members.member_no, members.rate, account_days.*, {draw} as draw,
                    habit * least(1, sqrt(level) * share) as chance
                from account_days
                join members on account_days.account_no = members.account_no
                where account_days.day between {first_day} and {last_day}
                    and account_days.day between members.first_day and members.last_day
            )
            where {_share("draw", 0, 20)} < chance
        """

    def _scale(self) -> float:
        """The factor on all volumes that brings the number of rows to the one wanted."""
        # Summed as integers: a float sum would depend on the order of the threads.
        volume = self._number(f"""
            select sum((volume * 1000000)::BIGINT)
            from ({self._member_days(0, self.calendar.days - 1)})
        """)
        scripted = self._number("select count(*) from script") + self._number(
            "select count(*) from shared_device_events"
        )
        wanted = self.events / (1 + DOUBLES + BAD_ROWS) - scripted
        return max(wanted, 0.0) / max(volume / 1_000_000, 1.0)

    def _draw(self, first_day: int, last_day: int) -> None:
        """Fill `drawn`: one row per event as it happened."""
        key = f"(member_no * 4096 + day) * {_NUMBERS} + k"
        slot = _small(f"hash(xor(key, {self.salt[4]}))", 0, 10)
        count = f"least(floor(volume * {self.scale!r} + rounding), {_NUMBERS - 500})::BIGINT"
        self.con.execute(f"""
            create or replace temp table drawn as
            with regular as (
                select
                    member_no, day, mix_no,
                    unnest(range({count})) as k
                from ({self._member_days(first_day, last_day)})
            ),
            keyed as (select *, {key} as key from regular)
            select member_no, day, key, event, properties, false as is_before_sign_up
            from keyed
            join slots on keyed.mix_no = slots.mix_no and {slot} = slots.slot
            union all
            select member_no, day, {key}, event, properties, is_before_sign_up
            from script
            where day between {first_day} and {last_day}
        """)

    def _deliver(self) -> None:
        """Append to `arriving`: the drawn events as rows, with what goes wrong on the way."""
        epoch = (self.calendar.first_date - date(1970, 1, 1)).days
        end = _micros(self.calendar.last_date) + 86_399_000_000
        odd, word = _small("mess", 31, 10), _small("draw", 51, 2)
        self.con.execute(f"""
            create or replace temp table rows as
            with hashed as (
                select
                    drawn.*, members.* exclude (member_no),
                    hash(xor(key, {self.salt[5]})) as draw,
                    hash(xor(key, {self.salt[6]})) as mess,
                    hash(xor(key, {self.salt[7]})) as repeat
                from drawn join members on drawn.member_no = members.member_no
            ),
            judged as (
                select
                    *,
                    -- A machine's event: it names the account and nobody.
                    event = 'Caption Generated' and kind = {NORMAL}
                        and {_share("mess", 56, 8)} < 0.25 as is_backend,
                    is_before_sign_up or kind = {VISITOR}
                        or (kind in ({NORMAL}, {LONE}) and {_share("mess", 20, 10)} < 0.015)
                        as is_device_only,
                    kind in ({LONE}, {VISITOR}) or is_before_sign_up
                        or (kind = {NORMAL} and {_share("mess", 10, 10)} < 0.06)
                        as lacks_group,
                    event in ('Video Viewed', 'Page Viewed') and {_share("mess", 40, 16)} < 0.0004
                        as has_bad_properties,
                    ({epoch} + day) * 86400000000 + 1000000 * (
                        hour * 3600
                        + ({_small("draw", 0, 16)} + {_small("draw", 16, 16)}) * 37800 // 131072
                    ) + 1000 * ({_small("draw", 54, 10)} % 1000) as happened,
                    case
                        when {_share("mess", 0, 10)} < 0.01
                            then 7200000 + 1000 * (1800000 * {_share("draw", 32, 16)} ** 3)::BIGINT
                        else 300 + {_small("draw", 38, 13)}
                    end as delay_milliseconds
                from hashed
            )
            select
                key,
                0 as variant,
                to_base(key, 36) as id,
                case
                    when event = '{catalog.OLD_COMMENT}'
                        and day >= {self.calendar.rename_day}
                            + {_small(f"hash(xor(member_no, {self.salt[1]}))", 0, 16)} % {FORTNIGHT}
                        then '{catalog.NEW_COMMENT}'
                    when {odd} = 1 then ' ' || event || '  '
                    else event
                end as event,
                case
                    when is_backend then null
                    when is_device_only then [null, 'NULL', 'undefined', ''][{word} + 1]
                    when {odd} = 0 then ' ' || user_id
                    else user_id
                end as user_id,
                if(
                    not is_backend and (is_device_only or {_share("mess", 29, 2)} < 0.75),
                    anonymous_id, null
                ) as anonymous_id,
                case
                    when is_backend then group_id
                    when lacks_group then null
                    when {odd} = 2 then group_id || ' '
                    else group_id
                end as context_group_id,
                happened,
                if({odd} = 3, null, least(happened + delay_milliseconds * 1000, {end})) as received,
                if(has_bad_properties, '{{"minutes":', properties) as properties,
                case kind
                    when {EXCLUDED} then 'excluded'
                    when {VISITOR} then 'anonymous'
                    else 'counted'
                end as fate,
                kind = {LONE} as is_unattributed,
                in_two_accounts and lacks_group and not is_backend as is_ambiguous,
                has_bad_properties,
                draw,
                repeat
            from judged
        """)
        self._add_doubles(end)
        self._add_bad_rows()

    def _add_doubles(self, end: int) -> None:
        """The same row again: identical, received later, or sent again with a new time."""
        kind = _small("repeat", 40, 2)
        again = f"{_small('repeat', 42, 12)} * 500000 + 60000000"
        self.con.execute(f"""
            insert into rows
            select * replace (
                1 as variant,
                if({kind} = 3 and happened // 86400000000 = (happened + {again}) // 86400000000,
                    happened + {again}, happened) as happened,
                if({kind} = 2, received, least(received + {again}, {end})) as received,
                if(fate = 'excluded', fate, 'duplicate') as fate
            )
            from rows
            where {_share("repeat", 0, 16)} < {DOUBLES}
        """)

    def _add_bad_rows(self) -> None:
        """Further rows that break one rule each (some two: the first reason counts)."""
        kind, variant = _small("repeat", 32, 2), _small("repeat", 34, 2)

        months_later = f"happened + 86400000000 * (90 + {_small('draw', 32, 8)})"

        def one_of(*values: str) -> str:
            return f"[{', '.join(values)}][{variant} + 1]"

        self.con.execute(f"""
            insert into rows
            select * replace (
                2 as variant,
                if({kind} = 0, {one_of("null", "''", "'  '", "'Null'")}, 'q' || id) as id,
                if({kind} = 1 or ({kind} = 0 and {variant} = 3),
                    {one_of("null", "' '", "'undefined'", "'NULL'")}, event) as event,
                if({kind} = 3, {one_of("null", "null", "'undefined'", "'null'")},
                    coalesce(user_id, 'u1')) as user_id,
                if({kind} = 3, {one_of("null", "''", "null", "' NULL '")}, anonymous_id)
                    as anonymous_id,
                if({kind} = 3, {one_of("null", "' '", "null", "'undefined'")}, context_group_id)
                    as context_group_id,
                if({kind} = 2,
                    {one_of("null", "0", f"{_micros(date(1999, 12, 31))}", months_later)},
                    happened) as happened,
                coalesce(received, happened) as received,
                ['missing_id', 'missing_event', 'bad_timestamp', 'no_identity'][{kind} + 1] as fate
            )
            from rows
            where variant = 0 and {_share("repeat", 16, 16)} < {BAD_ROWS}
        """)

    def _add_waiting(self, last_day: int) -> None:
        """Clocks that run ahead: rows of the last evening that are dated after the last day."""
        midnight = _micros(self.calendar.date_of(last_day + 1))
        self.con.execute(f"""
            insert into rows
            select * replace (
                3 as variant,
                'w' || id as id,
                {midnight} + {_small("draw", 0, 15)} * 1000000 as happened,
                {midnight} - 1000000 * (1 + {_small("draw", 15, 10)}) as received,
                'waiting' as fate
            )
            from rows
            where variant = 0 and happened >= {midnight} - 86400000000
                and {_share("repeat", 48, 16)} < 0.005
        """)

    def _add_shared_device_events(self, first_day: int, last_day: int) -> None:
        """Views on shared devices that carry the device only."""
        epoch = _micros(self.calendar.first_date)
        self.con.execute(f"""
            insert into rows by name
            select
                -number as key, 0 as variant, 'shared-' || number as id, 'Video Viewed' as event,
                anonymous_id, {epoch} + (day * 86400 + second) * 1000000 as happened,
                happened + 2000000 as received, 'counted' as fate, false as is_unattributed,
                false as is_ambiguous, false as has_bad_properties
            from (select *, row_number() over (order by day, second, anonymous_id) as number
                from shared_device_events)
            where day between {first_day} and {last_day}
        """)

    def _write_arrived(self, path: Path, last_day: int) -> None:
        """Write what has arrived by the end of `last_day`; the rest waits in `underway`."""
        midnight = _micros(self.calendar.date_of(last_day + 1))
        self.con.execute("insert into rows by name select * from underway")
        self.con.execute(f"""
            create or replace temp table underway as
            select * from rows where coalesce(received, happened) >= {midnight}
        """)
        arrived = f"from rows where coalesce(received, happened) < {midnight}"
        self.con.execute(f"""
            copy (
                select
                    id, event, user_id, anonymous_id, context_group_id,
                    make_timestamp(happened) as "timestamp",
                    make_timestamp(received) as received_at,
                    properties
                {arrived}
                order by coalesce(received, happened), key, variant
            ) to '{path}' (format parquet, compression zstd, parquet_version v2)
        """)
        self._count(arrived)

    def _count(self, arrived: str) -> None:
        labels = ("late", "unattributed", "ambiguous_account", "bad_properties")
        for fate, event, rows, *inside in self.con.execute(f"""
            select
                fate,
                event,
                count(*),
                count(*) filter (received // 86400000000 > happened // 86400000000),
                count(*) filter (is_unattributed),
                count(*) filter (is_ambiguous),
                count(*) filter (has_bad_properties)
            {arrived}
            group by 1, 2
        """).fetchall():
            self.counts.by_fate[fate] += rows
            if fate == "counted":
                name = event.strip()
                self.counts.by_event[name] = self.counts.by_event.get(name, 0) + rows
                for label, number in zip(labels, inside, strict=True):
                    self.counts.inside_counted[label] = (
                        self.counts.inside_counted.get(label, 0) + number
                    )


def _micros(day: date) -> int:
    """Midnight (UTC) as microseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
