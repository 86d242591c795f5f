"""The contract read slowly: raw rows and dials in, every SQL mart out, in plain Python.

Here belongs what a number means, followed word by word and day by day: dictionaries, loops,
exact fractions. No SQL, no data frame, no cleverness, and nothing of the pipeline is imported, so
that a difference between the two is a fault in one of them. How the raw data of a test is drawn
does not belong here (see `raw_cases`).
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Row = dict[str, Any]
Tables = dict[str, list[Row]]
Pair = tuple[str, str]

BLANKS = " \t\n\r\f\v"
MISSING = {"", "null", "undefined"}
ONE_DAY = timedelta(days=1)
FIRST_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - all instants here are naive UTC
USAGE_DAYS = 30
THIN_BENCHMARK = 10
STATUS_WORDS = {
    "paid": "paid",
    "active": "paid",
    "trial": "trial",
    "trialing": "trial",
    "canceled": "canceled",
    "cancelled": "canceled",
    "churned": "canceled",
}
LATE_BANDS = (
    ("late_1_to_7_days", 1, 7),
    ("late_8_to_30_days", 8, 30),
    ("late_31_to_90_days", 31, 90),
    ("late_over_90_days", 91, 1_000_000),
)
REASONS = ("missing_id", "missing_event", "bad_timestamp", "no_identity")
STATUS_PRECEDENCE = {"trial": 0, "paid": 1, "canceled": 2}

OWN_COLUMNS = {
    "tracks": (
        "id",
        "event",
        "timestamp",
        "user_id",
        "anonymous_id",
        "context_group_id",
        "received_at",
        "properties",
    ),
    "identifies": ("id", "timestamp", "user_id", "anonymous_id", "received_at"),
    "groups": ("id", "group_id", "timestamp", "user_id", "received_at"),
}
BOOKKEEPING = {"_unparsed", "_load_id"}
TIME_TRAITS = {
    "identifies": {"created_at"},
    "groups": {
        "created_at",
        "trial_ends_at",
        "contract_started_at",
        "contract_ends_at",
        "canceled_at",
    },
}
WHOLE_TRAITS = {"identifies": set[str](), "groups": {"seats", "mrr"}}


# --- values -------------------------------------------------------------------------------------


def clean(value: object) -> str | None:
    """Return a text cell trimmed, or None where it is blank, `null` or `undefined`."""
    text = as_text(value)
    if text is None:
        return None
    text = text.strip(BLANKS)
    return None if text.lower() in MISSING else text


def as_text(value: object) -> str | None:
    """Return any raw value as text: `true`, `6`, `2024-01-31 09:00:00`."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return str(value)


TIME_TEXT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?)?",
)


def parse_time(value: object) -> datetime | None:
    """Return the instant as naive UTC; None where there is none or it cannot be read."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - naive UTC
    text = clean(value)
    found = TIME_TEXT.fullmatch(text) if text else None
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        instant = datetime(  # noqa: DTZ001 - naive UTC
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "").ljust(6, "0")[:6]),
        )
    except ValueError:
        return None
    if offset is None or offset in "Zz":
        return instant
    sign = -1 if offset[0] == "-" else 1
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return instant - sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))


def parse_whole(value: object) -> int | None:
    """Return a whole number, or None where the cell does not hold one."""
    text = clean(value)
    return int(text) if text and re.fullmatch(r"[+-]?\d+", text) else None


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def read_properties(text: object) -> tuple[dict[str, Any], bool]:
    """Return the properties of an event and whether their text is malformed JSON.

    JSON that is no object holds no property and is not malformed.
    """
    if text is None:
        return {}, False

    def refuse(_: str) -> None:
        raise ValueError

    try:
        value = json.loads(
            str(text),
            parse_int=Number,
            parse_float=Number,
            parse_constant=refuse,
        )
    except ValueError:
        return {}, True
    return (value if isinstance(value, dict) else {}), False


def property_text(value: object) -> str | None:
    """Return the text of a JSON value: `true`, `6`, a string without quotes."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    return as_text(value)


def edit_distance(one: bytes, other: bytes) -> int:
    """Return how many bytes have to be put in, taken out or replaced (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        above, row = row, [i]
        for j, right in enumerate(other, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (left != right)))
    return row[-1]


def nearest_name(name: str, tracked: set[str]) -> str | None:
    """Return the tracked name that a raw name may stand for: at most one letter in four differs."""
    if name in tracked:
        return None
    near = [
        (distance, other)
        for other in tracked
        for distance in [edit_distance(name.lower().encode(), other.lower().encode())]
        if 4 * distance <= max(len(name), len(other))
    ]
    return min(near)[1] if near else None


def rounded(value: Fraction | Decimal | int, places: int = 6) -> Decimal:
    """Round half away from zero."""
    exact = Fraction(value)
    scaled = abs(exact) * 10**places + Fraction(1, 2)
    whole = scaled.numerator // scaled.denominator
    return Decimal(-whole if exact < 0 else whole).scaleb(-places)


def rounded_or_none(value: Fraction | None) -> Decimal | None:
    """Round to six places; nothing stays nothing."""
    return None if value is None else rounded(value)


def share(part: Decimal | int, whole: Decimal | int) -> Fraction | None:
    """Return part ÷ whole exactly, None over nothing."""
    return Fraction(part) / Fraction(whole) if whole else None


def mean(values: Iterable[Fraction | Decimal | None]) -> Fraction | None:
    """Return the mean of those that are not None, exactly; None if there are none."""
    there = [Fraction(value) for value in values if value is not None]
    return sum(there, Fraction(0)) / len(there) if there else None


def days_between(first: date, last: date) -> Iterator[date]:
    """Yield every day from first to last, both included."""
    day = first
    while day <= last:
        yield day
        day += ONE_DAY


def percentile_90(values: Iterable[Decimal]) -> Fraction | None:
    """Return the 90th percentile, linearly interpolated between the two nearest ranks."""
    ordered = sorted(Fraction(value) for value in values)
    if not ordered:
        return None
    position = Fraction(9, 10) * (len(ordered) - 1)
    below = position.numerator // position.denominator
    if below == len(ordered) - 1:
        return ordered[below]
    return ordered[below] + (position - below) * (ordered[below + 1] - ordered[below])


@cache
def unrounded_score(points: Decimal, benchmark: Decimal | None, curve: str) -> Decimal:
    """Put points on 0-100 by the model's curve, to 50 digits: a mean is taken before rounding."""
    if not benchmark:
        return Decimal(0)
    ratio = Fraction(points) / Fraction(benchmark)
    with localcontext() as context:
        context.prec = 50
        quotient = Decimal(ratio.numerator) / Decimal(ratio.denominator)
        if curve == "winsorized":
            return 100 * min(quotient, Decimal(1))
        return 100 * (1 - Decimal(10) ** -quotient)


def score_of(points: Decimal, benchmark: Decimal | None, curve: str) -> Decimal:
    """Put points on 0-100 by the model's curve, rounded to six places."""
    return unrounded_score(points, benchmark, curve).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def engagement_level(score: Decimal) -> str:
    """Name the quarter of 0-100 that a score lies in."""
    for bound, level in ((75, "most"), (50, "moderate"), (25, "passive")):
        if score >= bound:
            return level
    return "least"


def temperature(change: Decimal | None) -> str | None:
    """Name a change of score."""
    if change is None:
        return None
    if change >= 10:
        return "red_hot"
    return "ice_cold" if change <= -10 else "steady"


# --- dials --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tracked:
    """One row of tracked_events."""

    key: str
    event_name: str
    property_name: str | None
    property_value: str | None
    feature: str | None

    def matches(self, name: str, properties: Mapping[str, Any]) -> bool:
        """Tell whether a raw event with this name and these properties is this key."""
        if name != self.event_name:
            return False
        if self.property_name is None:
            return True
        value = property_text(properties.get(self.property_name))
        return value is not None and self.property_value in {None, value}


@dataclass(frozen=True)
class Model:
    """One row of score_models."""

    name: str
    window: int
    curve: str
    status: str | None
    plan: str | None


@dataclass(frozen=True)
class Weight:
    """One row of engagement_weights."""

    model: str
    key: str
    weight: Decimal
    cap: int | None
    valid_from: date
    valid_to: date


@dataclass(frozen=True)
class Step:
    """One row of activation_steps; `order` is its place in the file."""

    order: int
    key: str
    name: str | None
    level: str
    event_key: str | None
    trait: str | None
    trait_value: str | None
    count_of: str
    min_count: int
    within: int | None
    expires: int | None
    weight: Decimal
    feature: str | None
    is_flagship: bool
    status: str | None
    plan: str | None
    valid_from: date
    valid_to: date


@dataclass(frozen=True)
class Exclusion:
    """One row of exclusions."""

    entity: str
    column: str
    pattern: re.Pattern[str]


def cells(row: Mapping[str, str | None]) -> Callable[[str], str | None]:
    """Return a reader of a dial row's cells: trimmed, empty is None."""
    return lambda column: (row.get(column) or "").strip() or None


def opening(text: str | None) -> date:
    """Return a dial's first day."""
    return date.fromisoformat(text) if text else date.min


def closing(text: str | None) -> date:
    """Return a dial's last day."""
    return date.fromisoformat(text) if text else date.max


def whole_or_none(text: str | None) -> int | None:
    """Read a dial's whole number."""
    return int(text) if text else None


class Dials:
    """The dials as typed rows, and which of them is in force on a day."""

    def __init__(self, files: Mapping[str, list[dict[str, str]]]) -> None:
        self.tracked: list[Tracked] = []
        for row in files.get("tracked_events", []):
            cell = cells(row)
            self.tracked.append(
                Tracked(
                    cell("event_key") or "",
                    cell("event_name") or "",
                    cell("property_name"),
                    cell("property_value"),
                    cell("feature"),
                ),
            )
        self.models = [
            Model(
                cell("score_model") or "",
                int(cell("window_days") or 0),
                cell("curve") or "",
                cell("account_status"),
                cell("account_plan"),
            )
            for cell in map(cells, files.get("score_models", []))
        ]
        self.weights = [
            Weight(
                cell("score_model") or "",
                cell("event_key") or "",
                Decimal(cell("weight") or "0"),
                whole_or_none(cell("daily_cap")),
                opening(cell("valid_from")),
                closing(cell("valid_to")),
            )
            for cell in map(cells, files.get("engagement_weights", []))
        ]
        self.steps = [
            Step(
                order,
                cell("step_key") or "",
                cell("step_name"),
                cell("level") or "",
                cell("event_key"),
                cell("trait"),
                cell("trait_value"),
                cell("count_of") or "events",
                int(cell("min_count") or 1),
                whole_or_none(cell("within_days")),
                whole_or_none(cell("expires_after_days")),
                Decimal(cell("weight") or "1"),
                cell("feature"),
                (cell("is_flagship") or "false").lower() in {"true", "1", "yes"},
                cell("account_status"),
                cell("account_plan"),
                opening(cell("valid_from")),
                closing(cell("valid_to")),
            )
            for order, cell in enumerate(map(cells, files.get("activation_steps", [])))
        ]
        self.exclusions = []
        for row in files.get("exclusions", []):
            cell = cells(row)
            parts = [re.escape(part) for part in (cell("pattern") or "").split("*")]
            pattern = re.compile(".*".join(parts), re.IGNORECASE | re.DOTALL)
            self.exclusions.append(
                Exclusion(cell("entity") or "", cell("column") or "", pattern),
            )
        self.features = {tracked.key: tracked.feature for tracked in self.tracked}
        self._weights: dict[tuple[str, str, date], Weight | None] = {}
        self._steps: dict[date, list[Step]] = {}

    def keys_of(self, name: str, properties: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the event keys that a raw event matches, each once."""
        found = (row.key for row in self.tracked if row.matches(name, properties))
        return tuple(dict.fromkeys(found))

    def weight_on(self, model: str, key: str, day: date) -> Weight | None:
        """Return the weight of a key in a model that is in force on a day."""
        place = (model, key, day)
        if place not in self._weights:
            self._weights[place] = next(
                (
                    row
                    for row in self.weights
                    if (row.model, row.key) == (model, key)
                    and row.valid_from <= day <= row.valid_to
                ),
                None,
            )
        return self._weights[place]

    def steps_on(self, day: date) -> list[Step]:
        """Return of each step that has begun by the day its latest row, in file order."""
        if day not in self._steps:
            latest: dict[str, Step] = {}
            for step in self.steps:
                known = latest.get(step.key)
                if step.valid_from <= day and (known is None or step.valid_from > known.valid_from):
                    latest[step.key] = step
            self._steps[day] = sorted(latest.values(), key=lambda step: step.order)
        return self._steps[day]


# --- raw rows -----------------------------------------------------------------------------------


@dataclass
class Raw:
    """One raw row after cleaning: who, where, when, and what it says."""

    table: str
    id: str
    at: datetime
    received: datetime
    day: date
    event: str
    user: str | None
    anonymous: str | None
    account: str | None
    properties: str | None
    load: int | None
    traits: dict[str, Any] = field(default_factory=dict)


@dataclass
class Event:
    """One counted track call with its owner, its account and its keys."""

    name: str
    day: date
    received_day: date
    user: str | None
    account: str | None
    has_own_account: bool
    is_malformed: bool
    keys: tuple[str, ...]


def read_row(
    table: str, raw: Mapping[str, object], day_of: Callable[[datetime], date]
) -> Raw | Row:
    """Clean one raw row; return a row of quarantined_events where it is to be set aside."""
    row = {str(name).lower(): value for name, value in raw.items()}
    row_id = clean(row.get("id"))
    user = clean(row.get("user_id"))
    anonymous = None if table == "groups" else clean(row.get("anonymous_id"))
    event = clean(row.get("event")) if table == "tracks" else None
    account = None
    if table != "identifies":
        account = clean(row.get("context_group_id" if table == "tracks" else "group_id"))
    at = parse_time(row.get("timestamp"))
    received = parse_time(row.get("received_at")) or at

    reason = None
    if row_id is None:
        reason = "missing_id"
    elif table == "tracks" and event is None:
        reason = "missing_event"
    elif table == "groups" and account is None:
        reason = "missing_group"
    elif at is None or received is None or at < FIRST_TIME or at > received + ONE_DAY:
        reason = "bad_timestamp"
    elif table != "groups" and user is None and anonymous is None and account is None:
        reason = "no_identity"
    if reason is not None or row_id is None or at is None or received is None:
        return {"source_table": table, "id": row_id, "reason": reason}

    result = Raw(
        table=table,
        id=row_id,
        at=at,
        received=received,
        day=day_of(at),
        event=event or "",
        user=user,
        anonymous=anonymous,
        account=account,
        properties=as_text(row.get("properties")) if table == "tracks" else None,
        load=load_of(row),
    )
    if table != "tracks":
        result.traits = read_traits(table, row)
    return result


def load_of(row: Mapping[str, object]) -> int | None:
    """Return the number of the load that brought a raw row."""
    text = as_text(row.get("_load_id"))
    return None if text is None else int(text)


def read_traits(table: str, row: Mapping[str, object]) -> dict[str, Any]:
    """Return the non-null traits of a row of identifies or groups."""
    traits: dict[str, Any] = {}
    for name, value in row.items():
        if name in OWN_COLUMNS[table] or name in BOOKKEEPING:
            continue
        if name in TIME_TRAITS[table]:
            trait: object = parse_time(value)
        elif name in WHOLE_TRAITS[table]:
            trait = parse_whole(value)
        else:
            trait = clean(value)
        if trait is not None:
            traits[name] = trait
    return traits


def nulls_first(*values: object) -> tuple[tuple[bool, str], ...]:
    """Return a sort key over text values in which None is smallest."""
    return tuple((value is not None, as_text(value) or "") for value in values)


def by_preference(rows: list[Raw]) -> list[Raw]:
    """Return rows of a table in the order in which those of one id are preferred."""
    traits = sorted({name for row in rows for name in row.traits})
    return sorted(
        rows,
        key=lambda row: (
            row.at,
            row.received,
            nulls_first(row.event, row.user, row.anonymous, row.account, row.properties),
            nulls_first(*(row.traits.get(name) for name in traits)),
            -1 if row.load is None else row.load,
        ),
    )


class TraitHistory:
    """The traits that rows of one entity brought, readable as of any day."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[datetime, str, date, Any]]] = defaultdict(list)

    def add(self, row: Raw) -> None:
        """Take in the traits of one row."""
        for name, value in row.traits.items():
            self._values[name].append((row.at, row.id, row.day, value))
            self._values[name].sort(key=lambda item: (item[0], item[1], as_text(item[3]) or ""))

    def as_of(self, name: str, day: date) -> Any:  # noqa: ANN401 - a trait is text, time or number
        """Return the latest non-null value at or before the end of the day."""
        found = None
        for _, _, row_day, value in self._values.get(name, []):
            if row_day <= day:
                found = value
        return found

    def all_as_of(self, day: date) -> dict[str, Any]:
        """Return every trait that has a value on that day."""
        traits = {name: self.as_of(name, day) for name in sorted(self._values)}
        return {name: value for name, value in traits.items() if value is not None}

    def first_day(self, name: str) -> date | None:
        """Return the day of the first value of a trait."""
        values = self._values.get(name)
        return values[0][2] if values else None


class StatusHistory:
    """The facts about an account's status that its groups rows brought."""

    def __init__(self, rows: Iterable[Raw], day_of: Callable[[datetime], date]) -> None:
        # kind, instant of the fact, day of the fact, day from which the fact is known
        self.facts: list[tuple[str, datetime, date, date]] = []
        trial_ends: datetime | None = None
        for row in sorted(rows, key=lambda row: (row.at, row.id)):
            canceled_at = row.traits.get("canceled_at")
            is_after_cancel = canceled_at is not None and canceled_at <= row.at
            said: list[tuple[str, datetime]] = []
            word = STATUS_WORDS.get(str(row.traits.get("status", "")).lower())
            if word:
                said.append((word, row.at))
            if canceled_at is not None:
                said.append(("canceled", canceled_at))
            if "contract_started_at" in row.traits:
                said.append(("paid", row.traits["contract_started_at"]))
            if row.traits.get("trial_ends_at", trial_ends) != trial_ends:
                trial_ends = row.traits["trial_ends_at"]
                said.append(("trial", row.at))
            for kind, instant in said:
                if kind == "canceled" or not is_after_cancel:
                    self.facts.append((kind, instant, day_of(instant), row.day))

    def as_of(self, day: date) -> str | None:
        """Return the kind of the latest fact by the end of the day."""
        known = [
            (instant, STATUS_PRECEDENCE[kind], kind)
            for kind, instant, fact_day, known_day in self.facts
            if fact_day <= day and known_day <= day
        ]
        return max(known)[2] if known else None


class Facts:
    """The cleaned, deduplicated and attributed raw data as it is known on the as-of date."""

    def __init__(
        self,
        raw: Mapping[str, list[dict[str, Any]]],
        dials: Dials,
        as_of: date,
        timezone: str,
    ) -> None:
        self.as_of = as_of
        self.zone = ZoneInfo(timezone)
        self._days: dict[datetime, date] = {}
        self.quarantined: list[Row] = []
        self.quality: Counter[str] = Counter()
        self.deliveries: dict[int | None, Counter[str]] = defaultdict(Counter)
        tables = {table: self._staged(table, raw.get(table, [])) for table in OWN_COLUMNS}
        self._exclude(tables, dials.exclusions)
        tables = {table: self._deduplicated(table, rows) for table, rows in tables.items()}
        self.identifies = tables["identifies"]
        self.groups = tables["groups"]
        self._sightings = self._all_sightings(tables)
        self._joins: dict[str, list[Raw]] = defaultdict(list)
        for row in self.groups:
            if row.user is not None:
                self._joins[row.user].append(row)
        self.events = self._attributed(tables["tracks"], dials)

    def day_of(self, instant: datetime) -> date:
        """Return the reporting day of an instant."""
        if instant not in self._days:
            local = instant.replace(tzinfo=UTC).astimezone(self.zone)
            self._days[instant] = local.date()
        return self._days[instant]

    def _count(self, table: str, what: str, load: int | None) -> None:
        if table == "tracks":
            self.quality[what] += 1
            self.deliveries[load][what] += 1

    def _staged(self, table: str, rows: list[dict[str, Any]]) -> list[Raw]:
        """Return the rows that are neither quarantined nor waiting."""
        left = []
        for raw_row in rows:
            row = read_row(table, raw_row, self.day_of)
            load = load_of(raw_row)
            self._count(table, "received", load)
            if not isinstance(row, Raw):
                self._count(table, row["reason"], load)
                self.quarantined.append(row)
                continue
            if row.day > self.as_of:
                self._count(table, "waiting", load)
                continue
            left.append(row)
        return left

    def _exclude(self, tables: dict[str, list[Raw]], exclusions: list[Exclusion]) -> None:
        """Take out the rows of excluded users and accounts."""
        users: dict[str, TraitHistory] = {}
        accounts: dict[str, TraitHistory] = {}
        for table, rows in tables.items():
            first = self._first_by_id(rows, exclusions)
            for row in rows:
                counts = first.get(row.id) is row
                if row.user is not None:
                    history = users.setdefault(row.user, TraitHistory())
                    if table == "identifies" and counts:
                        history.add(row)
                if row.account is not None:
                    history = accounts.setdefault(row.account, TraitHistory())
                    if table == "groups" and counts:
                        history.add(row)
        bad_users = {
            user
            for user, history in users.items()
            if self._is_excluded("user", {"user_id": user}, history, exclusions)
        }
        bad_accounts = {
            account
            for account, history in accounts.items()
            if self._is_excluded(
                "account",
                {"account_id": account, "group_id": account},
                history,
                exclusions,
            )
        }
        for table, rows in tables.items():
            kept = []
            for row in rows:
                if row.user in bad_users or row.account in bad_accounts:
                    self._count(table, "excluded", row.load)
                else:
                    kept.append(row)
            tables[table] = kept

    def _first_by_id(self, rows: list[Raw], exclusions: list[Exclusion]) -> dict[str, Raw]:
        """Return of each id the row to ask for traits: the first that no id of its own excludes."""
        none = TraitHistory()
        left = [
            row
            for row in rows
            if not self._is_excluded("user", {"user_id": row.user}, none, exclusions)
            and not self._is_excluded(
                "account", {"account_id": row.account, "group_id": row.account}, none, exclusions
            )
        ]
        return {row.id: row for row in reversed(by_preference(left))}

    def _is_excluded(
        self,
        entity: str,
        ids: Mapping[str, str | None],
        history: TraitHistory,
        exclusions: list[Exclusion],
    ) -> bool:
        for exclusion in exclusions:
            if exclusion.entity != entity:
                continue
            value = ids.get(exclusion.column)
            if value is None:
                value = as_text(history.as_of(exclusion.column, self.as_of))
            if value is not None and exclusion.pattern.fullmatch(value):
                return True
        return False

    def _deduplicated(self, table: str, rows: list[Raw]) -> list[Raw]:
        """Return one row per id."""
        best: dict[str, Raw] = {}
        for row in by_preference(rows):
            if best.setdefault(row.id, row) is not row:
                self._count(table, "duplicates", row.load)
        return list(best.values())

    @staticmethod
    def _all_sightings(tables: dict[str, list[Raw]]) -> dict[str, list[tuple[datetime, str]]]:
        """Return by anonymous id when which user was identified with it."""
        sightings: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        for row in [*tables["identifies"], *tables["tracks"]]:
            if row.anonymous is not None and row.user is not None:
                sightings[row.anonymous].append((row.at, row.user))
        return sightings

    def _owner(self, row: Raw) -> str | None:
        """Return who did it."""
        if row.user is not None or row.anonymous is None:
            return row.user
        sightings = self._sightings.get(row.anonymous, [])
        before = [at for at, _ in sightings if at <= row.at]
        after = [at for at, _ in sightings if at > row.at]
        if not sightings:
            return None
        moment = max(before) if before else min(after)
        return min(user for at, user in sightings if at == moment)

    def _account(self, row: Raw, user: str | None) -> str | None:
        """Return where it was done."""
        if row.account is not None or user is None:
            return row.account
        joins = self._joins.get(user, [])
        if not joins:
            return None
        before = [join.at for join in joins if join.at <= row.at]
        after = [join.at for join in joins if join.at > row.at]
        moment = max(before) if before else min(after)
        tied = {join.id: join.account for join in joins if join.at == moment}
        return tied[max(tied)]

    def _attributed(self, rows: list[Raw], dials: Dials) -> list[Event]:
        """Return the counted events."""
        events = []
        for row in rows:
            user = self._owner(row)
            account = self._account(row, user)
            if user is None and account is None:
                self._count("tracks", "anonymous", row.load)
                continue
            properties, is_malformed = read_properties(row.properties)
            event = Event(
                name=row.event,
                day=row.day,
                received_day=self.day_of(row.received),
                user=user,
                account=account,
                has_own_account=row.account is not None,
                is_malformed=is_malformed,
                keys=dials.keys_of(row.event, properties),
            )
            events.append(event)
            self._count("tracks", "counted", row.load)
            self.quality["late"] += event.received_day > event.day
            days_late = (event.received_day - event.day).days
            for band, least, most in LATE_BANDS:
                self.quality[band] += least <= days_late <= most
            self.quality["unattributed"] += account is None
            self.quality["unmapped"] += not event.keys
            self.quality["bad_properties"] += is_malformed
            if not event.has_own_account and user is not None:
                joined = {join.account for join in self._joins.get(user, [])}
                self.quality["ambiguous_account"] += len(joined) > 1
        return events


# --- activation ---------------------------------------------------------------------------------


@dataclass
class StepState:
    """One step of one entity as of one day."""

    step: Step
    is_applicable: bool
    progress_count: int
    reached_date: date | None
    last_met_date: date | None
    is_completed: bool


@dataclass
class Activation:
    """The steps of one entity as of one day, summed up."""

    states: list[StepState]

    @property
    def applicable(self) -> list[StepState]:
        """The steps that apply."""
        return [state for state in self.states if state.is_applicable]

    @property
    def completed(self) -> list[StepState]:
        """The steps that apply and are completed."""
        return [state for state in self.applicable if state.is_completed]

    @property
    def rate(self) -> Fraction | None:
        """Weight of completed over weight of applicable steps."""
        done = sum((state.step.weight for state in self.completed), Decimal(0))
        return share(done, sum((state.step.weight for state in self.applicable), Decimal(0)))

    @property
    def missing(self) -> str:
        """The applicable steps that are not completed, in file order."""
        return ",".join(s.step.key for s in self.applicable if not s.is_completed)

    @property
    def is_activated(self) -> bool:
        """At least one applicable step, all completed."""
        applicable = self.applicable
        return bool(applicable) and all(state.is_completed for state in applicable)


class MetHistory:
    """On which days one step row was met by one entity, evaluated day by day."""

    def __init__(self) -> None:
        self.counts: dict[date, int] = {}
        self.met: list[date] = []
        self.met_with_event: list[date] = []

    @classmethod
    def of_events(
        cls,
        step: Step,
        event_users: Mapping[date, list[str | None]],
        last: date,
    ) -> MetHistory:
        """Count `count_of` over the window that ends on each day."""
        history = cls()
        if not event_users:
            return history
        in_window: Counter[str | None] = Counter()
        days_in_window = 0
        for day in days_between(min(event_users), last):
            if day in event_users:
                in_window.update(event_users[day])
                days_in_window += 1
            if step.within is not None:
                gone = day - timedelta(days=step.within)
                if gone in event_users:
                    in_window.subtract(event_users[gone])
                    days_in_window -= 1
            if step.count_of == "events":
                count = sum(in_window.values())
            elif step.count_of == "days":
                count = days_in_window
            else:
                count = sum(1 for user, n in in_window.items() if user is not None and n > 0)
            history.counts[day] = count
            if count >= step.min_count:
                history.met.append(day)
                if day in event_users:
                    history.met_with_event.append(day)
        return history

    @classmethod
    def of_trait(cls, step: Step, traits: TraitHistory, last: date) -> MetHistory:
        """Look at the trait as of each day."""
        history = cls()
        first = traits.first_day(step.trait or "")
        if first is None:
            return history
        for day in days_between(first, last):
            value = as_text(traits.as_of(step.trait or "", day))
            is_met = value is not None and step.trait_value in {None, value}
            history.counts[day] = int(is_met)
            if is_met:
                history.met.append(day)
        history.met_with_event = history.met
        return history

    def state(self, step: Step, day: date, *, is_applicable: bool) -> StepState:
        """Return what is known of the step at the end of a day."""
        reached = self.met[0] if self.met and self.met[0] <= day else None
        last_met = None
        if reached is not None:
            # the lists are in order of days: walk back from the end
            for met_day in reversed(self.met_with_event):
                if met_day <= day:
                    last_met = met_day
                    break
        is_completed = reached is not None and (
            step.expires is None
            or (last_met is not None and last_met > day - timedelta(days=step.expires))
        )
        return StepState(
            step,
            is_applicable,
            self.counts.get(day, 0),
            reached,
            last_met,
            is_completed,
        )


# --- everything ---------------------------------------------------------------------------------


class Reference:
    """All definitions over one set of facts."""

    def __init__(self, facts: Facts, dials: Dials, member_days: int) -> None:
        self.facts = facts
        self.dials = dials
        self.as_of = facts.as_of
        self.member_days = member_days
        self._index_rows()
        self._index_events()
        self._statuses: dict[tuple[str, date], str] = {}
        self._plans: dict[tuple[str, date], str | None] = {}
        self._members: dict[tuple[str, date], list[str]] = {}
        self._histories: dict[tuple[int, str, str | None], MetHistory] = {}
        self._benchmarks: dict[tuple[str, str, date], tuple[Decimal | None, int]] = {}
        self._day_points: dict[tuple[str, Pair], dict[date, dict[str, Decimal]]] = {}
        self._points: dict[tuple[str, Pair, date], Decimal] = {}

    # who and where

    def _index_rows(self) -> None:
        self.user_traits: dict[str, TraitHistory] = defaultdict(TraitHistory)
        self.account_traits: dict[str, TraitHistory] = defaultdict(TraitHistory)
        self.user_days: dict[str, set[date]] = defaultdict(set)
        self.joined: dict[Pair, date] = {}
        self.account_first: dict[str, date] = {}
        for row in self.facts.identifies:
            if row.user is not None:
                self.user_traits[row.user].add(row)
                self.user_days[row.user].add(row.day)
        by_account: dict[str, list[Raw]] = defaultdict(list)
        for row in self.facts.groups:
            account = str(row.account)
            by_account[account].append(row)
            self.account_traits[account].add(row)
            self._see_account(account, row.day)
            if row.user is not None:
                pair = (account, row.user)
                self.joined[pair] = min(row.day, self.joined.get(pair, row.day))
        self.status_facts = {
            account: StatusHistory(rows, self.facts.day_of) for account, rows in by_account.items()
        }
        for (_, user), day in self.joined.items():
            self.user_days[user].add(day)

    def _see_account(self, account: str, day: date) -> None:
        self.account_first[account] = min(day, self.account_first.get(account, day))

    def _index_events(self) -> None:
        self.account_event_days: dict[str, set[date]] = defaultdict(set)
        self.pair_events: dict[Pair, dict[date, list[tuple[str, ...]]]] = {}
        self.key_users: dict[tuple[str, str], dict[date, list[str | None]]] = {}
        self.pair_keys: dict[tuple[Pair, str], dict[date, list[str | None]]] = {}
        for event in self.facts.events:
            if event.user is not None:
                self.user_days[event.user].add(event.day)
            if event.account is None:
                continue
            self._see_account(event.account, event.day)
            self.account_event_days[event.account].add(event.day)
            for key in event.keys:
                by_day = self.key_users.setdefault((event.account, key), {})
                by_day.setdefault(event.day, []).append(event.user)
            if event.user is None:
                continue
            pair = (event.account, event.user)
            self.pair_events.setdefault(pair, {}).setdefault(event.day, []).append(event.keys)
            for key in event.keys:
                by_day = self.pair_keys.setdefault((pair, key), {})
                by_day.setdefault(event.day, []).append(event.user)
        self.pairs = sorted({*self.joined, *self.pair_events})
        self.accounts = sorted(self.account_first)
        self.users_of: dict[str, list[str]] = defaultdict(list)
        for account, user in self.pairs:
            self.users_of[account].append(user)

    def pair_seen(self, pair: Pair) -> set[date]:
        """Return the days on which the user was seen in the account."""
        days = set(self.pair_events.get(pair, {}))
        if pair in self.joined:
            days.add(self.joined[pair])
        return days

    def is_member(self, pair: Pair, day: date) -> bool:
        """Tell whether the user did any event there, or joined, in the last `member_days`."""
        first = day - timedelta(days=self.member_days - 1)
        return any(first <= seen <= day for seen in self.pair_seen(pair))

    def members(self, account: str, day: date) -> list[str]:
        """Return the users of the account that are members on the day."""
        place = (account, day)
        if place not in self._members:
            self._members[place] = [
                user for user in self.users_of[account] if self.is_member((account, user), day)
            ]
        return self._members[place]

    def status(self, account: str, day: date) -> str:
        """Return the account's status as of the day."""
        place = (account, day)
        if place not in self._statuses:
            facts = self.status_facts.get(account)
            status = (facts.as_of(day) if facts else None) or "unknown"
            ends = self.account_traits[account].as_of("trial_ends_at", day)
            # past at the end of the day: the day after begins later than it
            if status == "trial" and ends is not None and self.facts.day_of(ends) <= day:
                status = "expired"
            self._statuses[place] = status
        return self._statuses[place]

    def plan(self, account: str, day: date) -> str | None:
        """Return the account's plan as of the day."""
        place = (account, day)
        if place not in self._plans:
            self._plans[place] = self.account_traits[account].as_of("plan", day)
        return self._plans[place]

    def passes(self, account: str, day: date, status: str | None, plan: str | None) -> bool:
        """Tell whether the account's status and plan as of the day pass a dial's filters."""
        return status in {None, self.status(account, day)} and plan in {
            None,
            self.plan(account, day),
        }

    # activation

    def _history(self, step: Step, account: str, user: str | None) -> MetHistory:
        place = (step.order, account, user)
        if place not in self._histories:
            if step.trait is not None:
                traits = self.account_traits[account] if user is None else self.user_traits[user]
                self._histories[place] = MetHistory.of_trait(step, traits, self.as_of)
            else:
                key = step.event_key or ""
                events = (
                    self.key_users.get((account, key), {})
                    if user is None
                    else self.pair_keys.get(((account, user), key), {})
                )
                self._histories[place] = MetHistory.of_events(step, events, self.as_of)
        return self._histories[place]

    def activation(
        self,
        account: str,
        user: str | None,
        day: date,
        dials_of: date | None = None,
    ) -> Activation:
        """Return the steps of a user in an account, or of the account (user None), as of a day.

        Args:
            account: The account.
            user: The user, or None for the account's own steps.
            day: The day whose data, status and plan count.
            dials_of: The day whose dial rows count; the same day unless restated.
        """
        dial_day = dials_of or day
        level = "account" if user is None else "user"
        states = []
        for step in self.dials.steps_on(dial_day):
            if step.level != level:
                continue
            is_applicable = dial_day <= step.valid_to and self.passes(
                account,
                day,
                step.status,
                step.plan,
            )
            history = self._history(step, account, user)
            states.append(history.state(step, day, is_applicable=is_applicable))
        return Activation(states)

    def activated_date(self, account: str, user: str | None, first: date) -> date | None:
        """Return the first day from `first` on which the entity was activated as scored."""
        for day in days_between(first, self.as_of):
            if self.activation(account, user, day).is_activated:
                return day
        return None

    def account_rates(self, account: str, day: date, dials_of: date | None = None) -> Row:
        """Return the three rates of an account and what they are made of, exactly."""
        own = self.activation(account, None, day, dials_of)
        members = [
            self.activation(account, user, day, dials_of) for user in self.members(account, day)
        ]
        user_rate = mean(member.rate for member in members)
        return {
            "own": own,
            "activation_rate": own.rate,
            "user_count": len(members),
            "activated_user_count": sum(member.is_activated for member in members),
            "user_activation_rate": user_rate,
            "readiness_rate": mean([own.rate, user_rate]),
        }

    # engagement

    def day_points(self, model: Model, pair: Pair) -> dict[date, dict[str, Decimal]]:
        """Return the points of a user in an account by day and event key."""
        place = (model.name, pair)
        if place not in self._day_points:
            points: dict[date, dict[str, Decimal]] = {}
            for day, events in self.pair_events.get(pair, {}).items():
                counts = Counter(key for keys in events for key in keys)
                for key, count in counts.items():
                    weight = self.dials.weight_on(model.name, key, day)
                    if weight is not None:
                        capped = count if weight.cap is None else min(count, weight.cap)
                        points.setdefault(day, {})[key] = capped * weight.weight
            self._day_points[place] = points
        return self._day_points[place]

    def points(self, model: Model, pair: Pair, day: date) -> Decimal:
        """Return the points of a user in an account over the window that ends on the day."""
        place = (model.name, pair, day)
        if place not in self._points:
            first = day - timedelta(days=model.window - 1)
            self._points[place] = sum(
                (
                    sum(by_key.values(), Decimal(0))
                    for point_day, by_key in self.day_points(model, pair).items()
                    if first <= point_day <= day
                ),
                Decimal(0),
            )
        return self._points[place]

    def account_points(self, model: Model, account: str, day: date) -> Decimal:
        """Return the sum over the account's users."""
        return sum(
            (self.points(model, (account, user), day) for user in self.users_of[account]),
            Decimal(0),
        )

    def is_scored(self, model: Model, account: str, day: date) -> bool:
        """Tell whether the model has a row of the account on the day."""
        return self.account_first[account] <= day and self.passes(
            account,
            day,
            model.status,
            model.plan,
        )

    def benchmark(self, model: Model, level: str, day: date) -> tuple[Decimal | None, int]:
        """Return the 90th percentile of the points > 0 of all scored, and how many they are."""
        place = (model.name, level, day)
        if place not in self._benchmarks:
            accounts = [a for a in self.accounts if self.is_scored(model, a, day)]
            if level == "account":
                points = [self.account_points(model, account, day) for account in accounts]
            else:
                points = [
                    self.points(model, (account, user), day)
                    for account in accounts
                    for user in self.users_of[account]
                ]
            population = [value for value in points if value > 0]
            value = percentile_90(population)
            self._benchmarks[place] = (rounded_or_none(value), len(population))
        return self._benchmarks[place]

    def weighted_event_count(self, model: Model, pair: Pair, day: date) -> int:
        """Return how many events of the day match a key weighted in the model, each once."""
        return sum(
            any(self.dials.weight_on(model.name, key, day) is not None for key in keys)
            for keys in self.pair_events.get(pair, {}).get(day, [])
        )

    def user_engagement_row(self, model: Model, pair: Pair, day: date) -> Row:
        """Return the row of user_engagement_daily."""
        first = day - timedelta(days=model.window - 1)
        by_day = self.day_points(model, pair)
        points = self.points(model, pair, day)
        benchmark, _ = self.benchmark(model, "user", day)
        return {
            "score_model": model.name,
            "account_id": pair[0],
            "user_id": pair[1],
            "event_count": self.weighted_event_count(model, pair, day),
            "day_points": rounded(sum(by_day.get(day, {}).values(), Decimal(0)), 4),
            "engagement_points": rounded(points, 4),
            "engagement_score": score_of(points, benchmark, model.curve),
            "active_day_count": sum(first <= point_day <= day for point_day in by_day),
            "benchmark_points": benchmark,
            "is_active": points > 0,
            "is_default_model": model.name == "default",
            "date": day,
        }

    def account_engagement_row(self, model: Model, account: str, day: date) -> Row:
        """Return the row of account_engagement_daily."""
        users = [(account, user) for user in self.users_of[account]]
        members = [(account, user) for user in self.members(account, day)]
        points = self.account_points(model, account, day)
        benchmark, population = self.benchmark(model, "account", day)
        user_benchmark, _ = self.benchmark(model, "user", day)
        active = [pair for pair in members if self.points(model, pair, day) > 0]
        shares = [share(self.points(model, pair, day), points) for pair in users]
        there = [value for value in shares if value is not None]
        squares = sum((value * value for value in there), Fraction(0))
        scores = [
            unrounded_score(self.points(model, pair, day), user_benchmark, model.curve)
            for pair in active
        ]
        day_points = sum(
            (
                value
                for pair in users
                for value in self.day_points(model, pair).get(day, {}).values()
            ),
            Decimal(0),
        )
        return {
            "score_model": model.name,
            "account_id": account,
            "account_status": self.status(account, day),
            "plan": self.plan(account, day),
            "event_count": sum(self.weighted_event_count(model, pair, day) for pair in users),
            "day_points": rounded(day_points, 4),
            "engagement_points": rounded(points, 4),
            "engagement_score": score_of(points, benchmark, model.curve),
            "engagement_score_avg": rounded_or_none(mean(scores)),
            "user_count": len(members),
            "active_user_count": len(active),
            "active_user_rate": rounded_or_none(share(len(active), len(members))),
            "top_user_share": rounded(max(there)) if there else None,
            "effective_user_count": rounded(1 / squares) if squares else None,
            "benchmark_points": benchmark,
            "benchmark_population_count": population,
            "is_benchmark_thin": population < THIN_BENCHMARK,
            "is_active": points > 0,
            "is_default_model": model.name == "default",
            "date": day,
        }

    def change(
        self,
        model: Model,
        level: str,
        points: Decimal,
        score: Decimal,
        then: tuple[Decimal, date] | None,
    ) -> Row:
        """Return the score's change against the window before and its two parts."""
        if then is None:
            total = behaviour = by_benchmark = None
        else:
            points_then, day_then = then
            old_benchmark, _ = self.benchmark(model, level, day_then)
            score_then = score_of(points_then, old_benchmark, model.curve)
            total = score - score_then
            behaviour = score_of(points, old_benchmark, model.curve) - score_then
            by_benchmark = total - behaviour
        return {
            "score_change": total,
            "score_change_behaviour": behaviour,
            "score_change_benchmark": by_benchmark,
        }

    # marts

    def users(self) -> list[Row]:
        """Return the mart users."""
        rows = []
        for user in sorted(self.user_days):
            traits = self.user_traits[user]
            rows.append(
                {
                    "user_id": user,
                    "email": traits.as_of("email", self.as_of),
                    "user_name": traits.as_of("name", self.as_of),
                    "user_role": traits.as_of("role", self.as_of),
                    "account_count": sum(pair[1] == user for pair in self.pairs),
                    "first_seen_date": min(self.user_days[user]),
                    "last_seen_date": max(self.user_days[user]),
                },
            )
        return rows

    def account_rows(self) -> list[Row]:
        """Return the mart accounts."""
        rows = []
        for account in self.accounts:
            traits = self.account_traits[account].all_as_of(self.as_of)

            def day(name: str, traits: dict[str, Any] = traits) -> date | None:
                return self.facts.day_of(traits[name]) if name in traits else None

            first = self.account_first[account]
            rows.append(
                {
                    "account_id": account,
                    "account_name": traits.get("name"),
                    "plan": traits.get("plan"),
                    "account_status": self.status(account, self.as_of),
                    "traits": {name: as_text(value) for name, value in traits.items()},
                    "seat_count": traits.get("seats"),
                    "mrr": traits.get("mrr"),
                    "user_count": len(self.members(account, self.as_of)),
                    "trial_ends_date": day("trial_ends_at"),
                    "contract_started_date": day("contract_started_at"),
                    "contract_ends_date": day("contract_ends_at"),
                    "canceled_date": day("canceled_at"),
                    "first_seen_date": first,
                    "last_seen_date": max({first, *self.account_event_days[account]}),
                },
            )
        return rows

    def user_accounts(self) -> list[Row]:
        """Return the mart user_accounts."""
        return [
            {
                "account_id": pair[0],
                "user_id": pair[1],
                "event_count": sum(map(len, self.pair_events.get(pair, {}).values())),
                "is_member": self.is_member(pair, self.as_of),
                "joined_date": self.joined.get(pair),
                "first_seen_date": min(self.pair_seen(pair)),
                "last_seen_date": max(self.pair_seen(pair)),
            }
            for pair in self.pairs
        ]

    def user_activation(self) -> list[Row]:
        """Return the mart user_activation."""
        rows = []
        for account, user in self.pairs:
            if not self.is_member((account, user), self.as_of):
                continue
            now = self.activation(account, user, self.as_of)
            first = min(self.pair_seen((account, user)))
            activated = self.activated_date(account, user, first)
            rows.append(
                {
                    "account_id": account,
                    "user_id": user,
                    "missing_steps": now.missing,
                    "step_count": len(now.applicable),
                    "completed_step_count": len(now.completed),
                    "activation_rate": rounded_or_none(now.rate),
                    "days_to_activation": None if activated is None else (activated - first).days,
                    "is_activated": now.is_activated,
                    "activated_date": activated,
                    "as_of_date": self.as_of,
                },
            )
        return rows

    @staticmethod
    def _step_columns(state: StepState, head: Row, is_member: bool | None = None) -> Row:
        member = {} if is_member is None else {"is_member": is_member}
        return {
            **head,
            "step_key": state.step.key,
            "step_name": state.step.name,
            "feature": state.step.feature,
            "progress_count": state.progress_count,
            "min_count": state.step.min_count,
            **member,
            "is_applicable": state.is_applicable,
            "is_completed": state.is_completed,
            "is_flagship": state.step.is_flagship,
            "reached_date": state.reached_date,
            "last_met_date": state.last_met_date,
        }

    def user_activation_steps(self) -> list[Row]:
        """Return the mart user_activation_steps."""
        return [
            self._step_columns(
                state,
                {"account_id": pair[0], "user_id": pair[1]},
                self.is_member(pair, self.as_of),
            )
            for pair in self.pairs
            for state in self.activation(*pair, self.as_of).states
        ]

    def account_activation_steps(self) -> list[Row]:
        """Return the mart account_activation_steps."""
        return [
            self._step_columns(state, {"account_id": account})
            for account in self.accounts
            for state in self.activation(account, None, self.as_of).states
        ]

    def account_activation(self) -> list[Row]:
        """Return the mart account_activation."""
        rows = []
        for account in self.accounts:
            rates = self.account_rates(account, self.as_of)
            own = rates["own"]
            first = self.account_first[account]
            activated = self.activated_date(account, None, first)
            rows.append(
                {
                    "account_id": account,
                    "missing_steps": own.missing,
                    "step_count": len(own.applicable),
                    "completed_step_count": len(own.completed),
                    "activation_rate": rounded_or_none(rates["activation_rate"]),
                    "user_count": rates["user_count"],
                    "activated_user_count": rates["activated_user_count"],
                    "user_activation_rate": rounded_or_none(rates["user_activation_rate"]),
                    "readiness_rate": rounded_or_none(rates["readiness_rate"]),
                    "days_to_activation": None if activated is None else (activated - first).days,
                    "is_activated": own.is_activated,
                    "activated_date": activated,
                    "as_of_date": self.as_of,
                },
            )
        return rows

    def account_user_steps(self) -> list[Row]:
        """Return the mart account_user_steps: the user steps that apply to the account."""
        rows = []
        for account in self.accounts:
            members = self.members(account, self.as_of)
            for step in self.dials.steps_on(self.as_of):
                if (
                    step.level != "user"
                    or step.valid_to < self.as_of
                    or not self.passes(account, self.as_of, step.status, step.plan)
                ):
                    continue
                done = sum(
                    self._history(step, account, user)
                    .state(step, self.as_of, is_applicable=True)
                    .is_completed
                    for user in members
                )
                rows.append(
                    {
                        "account_id": account,
                        "step_key": step.key,
                        "step_name": step.name,
                        "feature": step.feature,
                        "completed_user_count": done,
                        "user_count": len(members),
                        "completed_user_rate": rounded_or_none(share(done, len(members))),
                        "is_flagship": step.is_flagship,
                    },
                )
        return rows

    def account_activation_daily(self, days: set[date] | None) -> list[Row]:
        """Return the mart account_activation_daily."""
        rows = []
        for account in self.accounts:
            for day in days_between(self.account_first[account], self.as_of):
                if days is not None and day not in days:
                    continue
                scored = self.account_rates(account, day)
                restated = self.account_rates(account, day, self.as_of)
                own = scored["own"]
                names = ("activation_rate", "user_activation_rate", "readiness_rate")
                rows.append(
                    {
                        "account_id": account,
                        "account_status": self.status(account, day),
                        "plan": self.plan(account, day),
                        "step_count": len(own.applicable),
                        "completed_step_count": len(own.completed),
                        "activation_rate": rounded_or_none(scored["activation_rate"]),
                        "user_count": scored["user_count"],
                        "activated_user_count": scored["activated_user_count"],
                        "user_activation_rate": rounded_or_none(scored["user_activation_rate"]),
                        "readiness_rate": rounded_or_none(scored["readiness_rate"]),
                        **{f"{name}_restated": rounded_or_none(restated[name]) for name in names},
                        "date": day,
                    },
                )
        return rows

    def step_adoption(self, days: set[date] | None) -> list[Row]:
        """Return the mart step_adoption: only steps that apply to someone."""
        if not self.accounts:
            return []
        first = min(self.account_first.values())
        rows = []
        for day in days_between(first, self.as_of):
            is_month_end = (day + ONE_DAY).day == 1
            if day != self.as_of and (not is_month_end or (days is not None and day not in days)):
                continue
            counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
            for account in self.accounts:
                if self.account_first[account] > day:
                    continue
                for user in [None, *self.members(account, day)]:
                    for state in self.activation(account, user, day).applicable:
                        count = counts[state.step.key, self.status(account, day)]
                        count[0] += 1
                        count[1] += state.is_completed
            steps = {step.key: step for step in self.dials.steps_on(day)}
            for (key, status), (eligible, completed) in sorted(counts.items()):
                rows.append(
                    {
                        "step_key": key,
                        "account_status": status,
                        "level": steps[key].level,
                        "step_name": steps[key].name,
                        "eligible_count": eligible,
                        "completed_count": completed,
                        "adoption_rate": rounded_or_none(share(completed, eligible)),
                        "is_flagship": steps[key].is_flagship,
                        "date": day,
                    },
                )
        return rows

    def event_usage_daily(self, days: set[date] | None) -> list[Row]:
        """Return the mart event_usage_daily."""
        return [
            {
                "account_id": pair[0],
                "user_id": pair[1],
                "event_key": key,
                "feature": self.dials.features[key],
                "event_count": len(by_day[day]),
                "date": day,
            }
            for (pair, key), by_day in sorted(self.pair_keys.items())
            for day in sorted(by_day)
            if days is None or day in days
        ]

    def account_feature_usage(self) -> list[Row]:
        """Return the mart account_feature_usage: every account times every feature."""
        first = self.as_of - timedelta(days=USAGE_DAYS - 1)
        features = sorted({feature for feature in self.dials.features.values() if feature})
        rows = []
        for account in self.accounts:
            for feature in features:
                used = [
                    (user, day, len(users))
                    for user in self.users_of[account]
                    for key, key_feature in self.dials.features.items()
                    if key_feature == feature
                    for day, users in self.pair_keys.get(((account, user), key), {}).items()
                ]
                recent = [use for use in used if first <= use[1] <= self.as_of]
                rows.append(
                    {
                        "account_id": account,
                        "feature": feature,
                        "event_count_30d": sum(count for _, _, count in recent),
                        "user_count_30d": len({user for user, _, _ in recent}),
                        "active_day_count_30d": len({day for _, day, _ in recent}),
                        "last_used_date": max((day for _, day, _ in used), default=None),
                    },
                )
        return rows

    def user_engagement_daily(self, days: set[date] | None) -> list[Row]:
        """Return the mart user_engagement_daily."""
        return [
            self.user_engagement_row(model, (account, user), day)
            for model in self.dials.models
            for account in self.accounts
            for day in days_between(self.account_first[account], self.as_of)
            if (days is None or day in days) and self.is_scored(model, account, day)
            for user in self.members(account, day)
        ]

    def account_engagement_daily(self, days: set[date] | None) -> list[Row]:
        """Return the mart account_engagement_daily."""
        return [
            self.account_engagement_row(model, account, day)
            for model in self.dials.models
            for account in self.accounts
            for day in days_between(self.account_first[account], self.as_of)
            if (days is None or day in days) and self.is_scored(model, account, day)
        ]

    @staticmethod
    def _as_of_row(daily: Row, change: Row, keys: tuple[str, ...]) -> Row:
        row = dict(daily)
        day = row.pop("date")
        return {
            **{key: row.pop(key) for key in keys},
            "temperature": temperature(change["score_change"]),
            "engagement_level": engagement_level(row["engagement_score"]),
            **row,
            **change,
            "as_of_date": day,
        }

    def user_engagement(self) -> list[Row]:
        """Return the mart user_engagement."""
        rows = []
        for daily in self.user_engagement_daily({self.as_of}):
            model = next(m for m in self.dials.models if m.name == daily["score_model"])
            pair = (daily["account_id"], daily["user_id"])
            day_then = self.as_of - timedelta(days=model.window)
            then = None
            if self.is_scored(model, pair[0], day_then) and self.is_member(pair, day_then):
                then = (self.points(model, pair, day_then), day_then)
            points = self.points(model, pair, self.as_of)
            change = self.change(model, "user", points, daily["engagement_score"], then)
            rows.append(self._as_of_row(daily, change, ("score_model", "account_id", "user_id")))
        return rows

    def account_engagement(self) -> list[Row]:
        """Return the mart account_engagement."""
        rows = []
        for daily in self.account_engagement_daily({self.as_of}):
            model = next(m for m in self.dials.models if m.name == daily["score_model"])
            account = daily["account_id"]
            day_then = self.as_of - timedelta(days=model.window)
            then = None
            if self.is_scored(model, account, day_then):
                then = (self.account_points(model, account, day_then), day_then)
            points = self.account_points(model, account, self.as_of)
            change = self.change(model, "account", points, daily["engagement_score"], then)
            rows.append(self._as_of_row(daily, change, ("score_model", "account_id")))
        return rows

    def account_engagement_drivers(self) -> list[Row]:
        """Return the mart account_engagement_drivers: keys with points now or before."""
        rows = []
        for model in self.dials.models:
            now_first = self.as_of - timedelta(days=model.window - 1)
            before_first = now_first - timedelta(days=model.window)
            for account in self.accounts:
                if not self.is_scored(model, account, self.as_of):
                    continue
                now: dict[str, Decimal] = defaultdict(Decimal)
                before: dict[str, Decimal] = defaultdict(Decimal)
                users: dict[str, set[str]] = defaultdict(set)
                for user in self.users_of[account]:
                    for day, by_key in self.day_points(model, (account, user)).items():
                        for key, points in by_key.items():
                            if now_first <= day <= self.as_of:
                                now[key] += points
                                users[key].add(user)
                            elif before_first <= day < now_first:
                                before[key] += points
                total = sum(now.values(), Decimal(0))
                rows += [
                    {
                        "score_model": model.name,
                        "account_id": account,
                        "event_key": key,
                        "feature": self.dials.features[key],
                        "engagement_points": rounded(now[key], 4),
                        "points_before": rounded(before[key], 4),
                        "points_change": rounded(now[key] - before[key], 4),
                        "points_share": rounded_or_none(share(now[key], total)),
                        "user_count": len(users[key]),
                        "is_default_model": model.name == "default",
                    }
                    for key in sorted({*now, *before})
                ]
        return rows

    # ops

    def data_quality(self) -> list[Row]:
        """Return the as-of date's row of ops.data_quality, over tracks."""
        names = (
            "received",
            "counted",
            "duplicates",
            "missing_id",
            "missing_event",
            "bad_timestamp",
            "no_identity",
            "excluded",
            "anonymous",
            "waiting",
            "late",
            *(band for band, _, _ in LATE_BANDS),
            "unattributed",
            "ambiguous_account",
            "unmapped",
            "bad_properties",
        )
        counts = {name: int(self.facts.quality[name]) for name in names}
        return [{"as_of_date": self.as_of, **counts}]

    def deliveries(self) -> list[Row]:
        """Return what became of the rows of each load of tracks."""
        return [
            {
                "load_id": load,
                "received_count": fates["received"],
                "counted_count": fates["counted"],
                "duplicate_count": fates["duplicates"],
                "quarantined_count": sum(fates[reason] for reason in REASONS),
                "excluded_count": fates["excluded"],
                "anonymous_count": fates["anonymous"],
                "waiting_count": fates["waiting"],
            }
            for load, fates in self.facts.deliveries.items()
        ]

    def unmapped_events(self) -> list[Row]:
        """Return the counted events that no dial row maps, by name."""
        tracked = {row.event_name for row in self.dials.tracked}
        days: dict[str, list[date]] = defaultdict(list)
        for event in self.facts.events:
            if not event.keys:
                days[event.name].append(event.day)
        return [
            {
                "event_name": name,
                "did_you_mean": nearest_name(name, tracked),
                "event_count": len(seen),
                "first_seen_date": min(seen),
                "last_seen_date": max(seen),
            }
            for name, seen in sorted(days.items())
        ]


def build(
    raw: Mapping[str, list[dict[str, Any]]],
    dials: Mapping[str, list[dict[str, str]]],
    as_of: date,
    timezone: str = "UTC",
    *,
    member_days: int = 90,
    days: set[date] | None = None,
) -> Tables:
    """Return every SQL mart but account_health, and the tables of ops that tell of raw rows.

    Args:
        raw: Rows of `tracks`, `identifies` and `groups`: text, naive datetimes (UTC) or aware
            ones, texts of times, whole numbers, None.
        dials: Rows of the six files as `csv.DictReader` gives them.
        as_of: The last full day that the marts describe.
        timezone: The reporting time zone.
        member_days: For how many days an event or joining makes a member.
        days: Only these days' rows of the daily marts; None for every day.

    Returns:
        Rows by table name, in the order of their keys. Points, scores and rates are Decimal.
    """
    own_dials = Dials(dials)
    facts = Facts(raw, own_dials, as_of, timezone)
    reference = Reference(facts, own_dials, member_days)
    return {
        "users": reference.users(),
        "accounts": reference.account_rows(),
        "user_accounts": reference.user_accounts(),
        "user_activation": reference.user_activation(),
        "user_activation_steps": reference.user_activation_steps(),
        "account_activation": reference.account_activation(),
        "account_activation_steps": reference.account_activation_steps(),
        "account_user_steps": reference.account_user_steps(),
        "account_activation_daily": reference.account_activation_daily(days),
        "step_adoption": reference.step_adoption(days),
        "event_usage_daily": reference.event_usage_daily(days),
        "account_feature_usage": reference.account_feature_usage(),
        "user_engagement_daily": reference.user_engagement_daily(days),
        "account_engagement_daily": reference.account_engagement_daily(days),
        "user_engagement": reference.user_engagement(),
        "account_engagement": reference.account_engagement(),
        "account_engagement_drivers": reference.account_engagement_drivers(),
        "data_quality": reference.data_quality(),
        "deliveries": reference.deliveries(),
        "quarantined_events": sorted(
            facts.quarantined,
            key=lambda row: (row["source_table"], row["id"] or "", row["reason"]),
        ),
        "unmapped_events": reference.unmapped_events(),
    }
