"""Small nasty raw data with dials to read it by, drawn at random, and written as files.

Here belongs everything that makes up a test's input: `random_case` draws one from a seed (fast,
and the seed replays it), `cases` is the same as a hypothesis strategy (small, and it shrinks),
`write_case` lays a case down as a landing folder and a folder of dials. What the numbers should
be does not belong here (see `reference`).
"""

from __future__ import annotations

import csv
import json
import random
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import strategies as st

Row = dict[str, Any]
Tables = dict[str, list[Row]]
DialRow = dict[str, str]
DialFiles = dict[str, list[DialRow]]

SHIPPED_FLAG_RULES = Path(__file__).parents[1] / "seeds" / "flag_rules.csv"

DIAL_COLUMNS = {
    "tracked_events": ("event_key", "event_name", "property_name", "property_value", "feature"),
    "score_models": (
        "score_model",
        "window_days",
        "curve",
        "account_status",
        "account_plan",
        "description",
    ),
    "engagement_weights": (
        "score_model",
        "event_key",
        "weight",
        "daily_cap",
        "valid_from",
        "valid_to",
    ),
    "activation_steps": (
        "step_key",
        "step_name",
        "level",
        "event_key",
        "trait",
        "trait_value",
        "count_of",
        "min_count",
        "within_days",
        "expires_after_days",
        "weight",
        "feature",
        "is_flagship",
        "account_status",
        "account_plan",
        "valid_from",
        "valid_to",
    ),
    "flag_rules": (
        "flag_key",
        "entity",
        "kind",
        "severity",
        "is_enabled",
        "parameters",
        "title",
        "playbook",
    ),
    "exclusions": ("entity", "column", "pattern", "reason"),
}

RAW_COLUMNS = {
    "tracks": (
        "id",
        "event",
        "user_id",
        "anonymous_id",
        "context_group_id",
        "timestamp",
        "received_at",
        "properties",
    ),
    "identifies": (
        "id",
        "user_id",
        "anonymous_id",
        "timestamp",
        "received_at",
        "email",
        "name",
        "role",
        "created_at",
    ),
    "groups": (
        "id",
        "group_id",
        "user_id",
        "timestamp",
        "received_at",
        "name",
        "plan",
        "status",
        "created_at",
        "trial_ends_at",
        "contract_started_at",
        "contract_ends_at",
        "canceled_at",
        "seats",
        "mrr",
    ),
}

TIMEZONES = ("UTC", "UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
AS_OF_DATES = (
    date(2024, 2, 29),
    date(2024, 4, 15),
    date(2024, 3, 31),
    date(2024, 11, 12),
    date(2024, 12, 31),
    date(2025, 1, 9),
)
NOTHINGS = ("", "  ", "null", "NULL", "Undefined", " undefined ", "\t")
OFFSETS = (None, None, -480, -150, 60, 120, 330, 345)
EDGE_TIMES = (time(0), time(0, 0, 1), time(2, 30), time(23, 30), time(23, 59, 59, 999999))
TOO_OLD = (datetime(1999, 12, 31, 23, 59, 59), datetime(1970, 1, 1))  # noqa: DTZ001 - naive UTC
OLDEST = datetime(2000, 1, 1)  # noqa: DTZ001 - naive UTC
# seconds from timestamp to received_at; None: no received_at
LAGS = (
    (0, 60),
    (0, 0),
    (3_600, 2 * 86_400),
    (2 * 86_400, 150 * 86_400),
    None,
    (-80_000, -1),
    (-86_400, -86_400),
    (-86_401, -86_401),
    (-10 * 86_400, -86_401),
)
LAG_SHARES = (55, 10, 8, 8, 8, 5, 2, 1, 2)
WHO_SHARES = (70, 14, 8, 6, 2)
UNREADABLE_TIMES = ("soon", "", "2024-02-30 10:00:00", "31/12/2024", "NULL", None)
STATUSES = (
    "active",
    "Active",
    "paid",
    "trialing",
    "TRIAL",
    "cancelled",
    "canceled",
    "churned ",
    "past_due",
    "null",
    "",
    None,
    None,
)
PLANS = ("free", "pro", "Pro", "enterprise", "", None, None)
EMAILS = (
    "ann@acme.example",
    "Bob@Acme.example",
    "test@ourselves.example",
    "QA+1@OURSELVES.example",
    "c.d@other.example",
    "",
    None,
    None,
)

EVENT_NAMES = (
    "Video Uploaded",
    "video_uploaded",
    "Video Exported",
    "Comment Added",
    "Shared",
    "Invite Sent",
    "Played",
)
STRAY_NAMES = ("video uploaded", "Page Viewed", "null", "Comment Adéd ", "undefined")
PROPERTIES = (
    None,
    None,
    "{}",
    '{"format":"mp4"}',
    '{"format": "mp4", "hd": true}',
    '{"format":"MP4","hd":"true"}',
    '{"format":" mp4","hd":false}',
    '{"quality":6}',
    '{"quality":6.0,"hd":null}',
    '{"quality":"6","recipient":"x"}',
    '{"quality":16,"recipient":null}',
    '{"recipient":{"team":"a","format":"mp4"}}',
    '{"recipient":[]}',
    '{"recipient":""}',
    '{"a.b":1}',
    '{"a":{"b":1}}',
    '{"recipient":0,"note":"it\'s, \\"quoted\\"\\n"}',
    '{"hd":true',
    "not json",
    "{'hd': true}",
    "[1, 2]",
    '"hd"',
    "null",
)
TRACKED = (
    ("uploaded", "Video Uploaded", "", "", "video"),
    ("uploaded", "video_uploaded", "", "", "video"),
    ("exported", "Video Exported", "", "", "video"),
    ("exported_hd", "Video Exported", "hd", "true", "quality"),
    ("exported_mp4", "Video Exported", "format", "mp4", "quality"),
    ("exported_mp4", "Video Exported", "quality", "6", "quality"),
    ("shared", "Shared", "recipient", "", "sharing"),
    ("dotted", "Shared", "a.b", "1", ""),
    ("commented", "Comment Added", "", "", "sharing"),
    ("talked", "Comment Added", "", "", "talk"),
    ("talked", "Invite Sent", "", "", "talk"),
    ("invited", "Invite Sent", "", "", ""),
)


ACCOUNTS = ["acme", "Acme", "7", "007", 'o"neil, inc', "zürich", "b b", *"jklmnopqrst"]
WEIGHTS = ("1", "2", "10", "2.5", "7", "0.3333", "3.1415", "0.0001")
TRAIT_STEPS = {
    "user": (("role", ""), ("role", "admin"), ("email", ""), ("created_at", ""), ("team", "007")),
    "account": (
        ("plan", ""),
        ("plan", "pro"),
        ("status", "active"),
        ("contract_started_at", ""),
        ("seats", "5"),
        ("mrr", "0"),
        ("industry", "media"),
        ("industry", ""),
    ),
}
EXCLUSIONS = (
    ("user", "email", "*@ourselves.example", "own staff"),
    ("user", "email", "qa+1@*", "tests"),
    ("user", "user_id", "U0", "bot"),
    ("user", "user_id", "u_", "no user: an underscore is no wildcard"),
    ("user", "role", "BOT-*", "bots"),
    ("user", "team", "007", "a further column"),
    ("account", "account_id", "acme", "own"),
    ("account", "account_id", "*z*", "tests"),
    ("account", "plan", "FREE", "free riders"),
    ("account", "industry", "test*", "tests"),
    ("account", "seats", "25", "a number"),
)
# loads that brought the rows of tracks in turn; none: they were put into the table
LOADS = (3, None, 1, 4)
# columns that a source may lack
DROPPABLE = {
    "tracks": ("received_at", "anonymous_id", "context_group_id", "properties"),
    "identifies": ("received_at", "anonymous_id", "email", "team"),
    "groups": ("received_at", "status", "canceled_at", "seats", "industry"),
}


class Case(NamedTuple):
    """One drawn input: raw rows, dial rows, as-of date, reporting time zone."""

    raw: Tables
    dials: DialFiles
    as_of: date
    timezone: str


@dataclass(frozen=True)
class Size:
    """How much of everything a case may have, at most."""

    accounts: int
    users: int
    events: int
    days: int
    steps: int


class Place(NamedTuple):
    """Where and until when the days of a case are, instead of drawn."""

    timezone: str
    as_of: date


CLOCK_CHANGES = (
    Place("Europe/Berlin", date(2024, 3, 31)),
    Place("Europe/Berlin", date(2024, 10, 28)),
    Place("America/New_York", date(2024, 3, 11)),
    Place("America/New_York", date(2024, 11, 3)),
    # at midnight: 00:00 became 01:00, 24:00 became 23:00
    Place("America/Sao_Paulo", date(2018, 11, 4)),
    Place("America/Sao_Paulo", date(2018, 2, 18)),
    Place("Asia/Beirut", date(2024, 4, 1)),
    Place("Asia/Beirut", date(2024, 10, 27)),
    # 01:00 became 00:00: a day with two midnights
    Place("America/Havana", date(2024, 11, 3)),
    # by half an hour
    Place("Australia/Lord_Howe", date(2024, 4, 7)),
)
"""The day of a change of clocks, or the day after one."""

CALENDAR_EDGES = (
    Place("Asia/Kolkata", date(2024, 2, 29)),
    Place("America/St_Johns", date(2024, 3, 1)),
    Place("Asia/Kathmandu", date(2024, 12, 31)),
    Place("Pacific/Kiritimati", date(2025, 1, 1)),
)
"""Leap days and ends of years, away from UTC and not by whole hours."""

DAYS = Size(accounts=2, users=3, events=40, days=5, steps=4)
SMALL = Size(accounts=3, users=4, events=25, days=120, steps=4)
USUAL = Size(accounts=6, users=12, events=150, days=110, steps=8)
LARGE = Size(accounts=18, users=30, events=400, days=120, steps=9)


class Drawer:
    """Draws one case; every choice comes from one source of randomness."""

    def __init__(self, chance: random.Random, size: Size, place: Place | None = None) -> None:
        self.chance = chance
        self.size = size
        self.place = place
        self.as_of = place.as_of if place else chance.choice(AS_OF_DATES)
        self.timezone = place.timezone if place else chance.choice(TIMEZONES)
        self.days = self.rather_many(size.days)
        self.first = self.as_of - timedelta(days=self.days - 1)
        self.accounts = ACCOUNTS[: self.rather_many(size.accounts)]
        self.users = [f"u{n}" for n in range(chance.randint(1, size.users))]
        self.devices = [f"d{n}" for n in range(max(2, size.users // 3))]
        self.homes = {
            user: [chance.choice(self.accounts) for _ in range(chance.choice([1, 1, 1, 2]))]
            for user in self.users
        }
        self.with_texts = self.often(0.3)
        self.drawn: list[datetime] = []

    def often(self, share: float) -> bool:
        """Return true in this share of the cases."""
        return self.chance.random() < share

    def rather_many(self, most: int) -> int:
        """Return a number from one on, the higher ones more often."""
        return max(self.chance.randint(1, most), self.chance.randint(1, most))

    def of_few(self, values: list[str]) -> str:
        """Return one of the values, the first ones more often."""
        return values[int(len(values) * self.chance.random() ** 2)]

    def instant(self, after: int = 0) -> datetime:
        """Return an instant up to so many days after the case's last.

        Often it is one that was drawn before, or close to a local midnight.
        """
        if self.drawn and self.often(0.1):
            return self.chance.choice(self.drawn)
        day = self.first + timedelta(days=self.chance.randint(0, self.days - 1 + after))
        clock = time(self.chance.randint(0, 23), self.chance.randint(0, 59))
        if self.often(0.2):
            clock = self.chance.choice(EDGE_TIMES)
        if self.place:
            clock = clock.replace(fold=self.chance.randint(0, 1))
        local = datetime.combine(day, clock, ZoneInfo(self.timezone))
        self.drawn.append(local.astimezone(UTC).replace(tzinfo=None))
        return self.drawn[-1]

    def spelled(self, instant: datetime | None) -> datetime | str | None:
        """Return an instant as it is, or as text with an offset or without."""
        if instant is None or not (self.with_texts and self.often(0.5)):
            return instant
        minutes = self.chance.choice(OFFSETS)
        if minutes is None:
            return instant.isoformat(sep=" ") + self.chance.choice(["", "Z", "+00"])
        sign = "-" if minutes < 0 else "+"
        hours, rest = divmod(abs(minutes), 60)
        colon = self.chance.choice(["", ":"])
        shifted = (instant + timedelta(minutes=minutes)).isoformat()
        return f"{shifted}{sign}{hours:02d}{colon}{rest:02d}"

    def worn(self, text: str | None) -> str | None:
        """Return an id or a name, now and then padded or lost."""
        if self.often(0.03):
            return self.chance.choice(NOTHINGS)
        if text is not None and self.often(0.04):
            return self.chance.choice([f" {text}", f"{text}  ", f"\t{text} "])
        return text

    def clocks(self) -> tuple[datetime | str | None, datetime | str | None]:
        """Return a row's timestamp and received_at, some late, some impossible."""
        at = self.instant(after=4 if self.often(0.15) else 0)
        if self.often(0.01):
            at = self.chance.choice(TOO_OLD)
        lag = self.chance.choices(LAGS, LAG_SHARES)[0]
        received = None if lag is None else at + timedelta(seconds=self.chance.randint(*lag))
        if self.often(0.01):
            return None, received
        if self.with_texts and self.often(0.04):
            return self.chance.choice(UNREADABLE_TIMES), self.spelled(received)
        if self.with_texts and self.often(0.04):
            return self.spelled(at), self.chance.choice(UNREADABLE_TIMES)
        return self.spelled(at), self.spelled(received)

    # raw rows

    def track(self, number: int) -> Row:
        """Return one track call."""
        at, received = self.clocks()
        user: str | None = self.of_few(self.users)
        home = self.chance.choice(self.homes[str(user)])
        account = self.chance.choices(
            [home, None, self.chance.choice(self.accounts)],
            [55, 35, 10],
        )[0]
        device: str | None = self.chance.choice(self.devices)
        who = self.chance.choices(["user", "device", "both", "account", "nobody"], WHO_SHARES)[0]
        if who in {"device", "account", "nobody"}:
            user = None
        if who in {"user", "account", "nobody"}:
            device = None
        if who == "account":
            account = home
        if who == "nobody":
            account = None
        names = EVENT_NAMES if self.often(0.9) else STRAY_NAMES
        return {
            "id": self.worn(f"t{number}"),
            "event": self.worn(self.of_few(list(names))),
            "user_id": self.worn(user),
            "anonymous_id": self.worn(device),
            "context_group_id": self.worn(account),
            "timestamp": at,
            "received_at": received,
            "properties": self.chance.choice(PROPERTIES),
        }

    def identify(self, number: int) -> Row:
        """Return one identify call."""
        at, received = self.clocks()
        return {
            "id": self.worn(f"i{number}"),
            "user_id": self.worn(self.chance.choice(self.users) if self.often(0.9) else None),
            "anonymous_id": self.worn(
                self.chance.choice(self.devices) if self.often(0.6) else None,
            ),
            "timestamp": at,
            "received_at": received,
            "email": self.chance.choice(EMAILS),
            "name": self.worn(self.chance.choice(["Ann", "Bob B.", None])),
            "role": self.worn(self.chance.choice(["admin", "Admin", "viewer", "bot-7", None])),
            "created_at": self.spelled(self.instant() if self.often(0.3) else None),
            "team": self.worn(self.chance.choice(["red", "007", "true", None])),
        }

    def group(self, number: int, account: str, before: Row | None) -> Row:
        """Return one group call; `before` is an earlier one whose values it may repeat."""
        at, received = self.clocks()
        fitting = [user for user in self.users if account in self.homes[user]] or self.users
        row: Row = {
            "id": self.worn(f"g{number}"),
            "group_id": self.worn(account),
            "user_id": self.worn(self.chance.choice(fitting) if self.often(0.8) else None),
            "timestamp": at,
            "received_at": received,
            "name": self.worn(self.chance.choice([f"{account} Ltd", None])),
            "plan": self.chance.choice(PLANS),
            "status": self.chance.choice(STATUSES),
            "created_at": None,
            "trial_ends_at": None,
            "contract_started_at": None,
            "contract_ends_at": None,
            "canceled_at": None,
            "seats": self.chance.choice([1, 5, 25, None]),
            "mrr": self.chance.choice([0, 4900, 100_000_000_000, None]),
            "industry": self.worn(self.chance.choice(["media", "Test lab", "0", None])),
        }
        shares = {
            "created_at": 0.3,
            "trial_ends_at": 0.3,
            "contract_started_at": 0.3,
            "contract_ends_at": 0.3,
            "canceled_at": 0.2,
        }
        for trait, often in shares.items():
            if before is not None and self.often(0.4):
                row[trait] = before[trait]
            elif self.often(often):
                row[trait] = self.spelled(self.instant(after=20))
            elif self.with_texts and self.often(0.03):
                row[trait] = self.chance.choice(UNREADABLE_TIMES)
        if self.with_texts and self.often(0.1):
            row["seats"] = self.chance.choice(["many", "12", "-", None])
        return row

    def life(self, number: int, account: str) -> list[Row]:
        """Return the rows of an account that tries, buys, cancels and signs again."""
        moments = sorted(self.instant() for _ in range(4))
        rows = []
        for offset, status in enumerate(["trialing", "active", "canceled", "paid"]):
            row = self.group(number + offset, account, None)
            row |= {
                "timestamp": moments[offset],
                "received_at": None,
                "status": status if self.often(0.6) else None,
                "trial_ends_at": moments[0] + timedelta(days=14) if offset == 0 else None,
                "contract_started_at": moments[offset] if status in {"active", "paid"} else None,
                "canceled_at": moments[2] if status == "canceled" else None,
            }
            rows.append(row)
        if self.often(0.2):
            rows[3]["canceled_at"] = moments[2]
        return rows[: self.chance.randint(1, 4)]

    def doubled(self, rows: list[Row], table: str) -> list[Row]:
        """Return the rows with some of them delivered twice, not always alike, in any order."""
        owners = {
            "tracks": ["user_id", "anonymous_id", "context_group_id", "event", "properties"],
            "identifies": ["user_id", "anonymous_id"],
            "groups": ["user_id", "group_id"],
        }[table]
        result = list(rows)
        for row in rows:
            if not self.often(0.12):
                continue
            double = dict(row)
            other = self.chance.choice(rows)
            change = self.chance.randint(0, 4)
            if change == 1:
                double["timestamp"], double["received_at"] = self.clocks()
            elif change == 2:
                double["received_at"] = other["received_at"]
            elif change == 3:
                double |= {column: other[column] for column in owners}
            elif change == 4:
                column = self.chance.choice(owners)
                double[column] = None
            result.append(double)
        self.chance.shuffle(result)
        return result

    def raw(self) -> Tables:
        """Return the raw tables."""
        count = self.rather_many(self.size.events)
        tracks = [self.track(number) for number in range(count)]
        if self.often(0.02):
            self.chance.choice(tracks)["timestamp"] = OLDEST
        identifies = [
            self.identify(number) for number in range(self.chance.randint(0, 2 * len(self.users)))
        ]
        groups: list[Row] = []
        for account in self.accounts:
            if self.often(0.5):
                groups += self.life(len(groups), account)
            before = None
            for _ in range(self.chance.randint(0, 4)):
                before = self.group(len(groups), account, before)
                groups.append(before)
        tables = {
            "tracks": self.doubled(tracks, "tracks"),
            "identifies": self.doubled(identifies, "identifies"),
            "groups": self.doubled(groups, "groups"),
        }
        for number, row in enumerate(tables["tracks"]):
            row["_load_id"] = LOADS[number % len(LOADS)]
        for table, rows in tables.items():
            for column in DROPPABLE[table]:
                if self.often(0.05):
                    for row in rows:
                        row.pop(column, None)
        return tables

    # dials

    def ranges(self) -> list[tuple[str, str]]:
        """Return one or two validity ranges that do not overlap."""
        kind = self.chance.randint(0, 9)
        first, second = sorted(
            self.first + timedelta(days=self.chance.randint(-5, self.days + 5)) for _ in range(2)
        )
        if kind == 0:
            return [("", first.isoformat())]
        if kind == 1:
            return [(second.isoformat(), "")]
        if kind in {2, 3}:
            return [("", (second - timedelta(days=1)).isoformat()), (second.isoformat(), "")]
        if kind == 4:
            return [(first.isoformat(), second.isoformat())]
        if kind == 5 and first < second:
            return [("", first.isoformat()), ((second + timedelta(days=1)).isoformat(), "")]
        return [("", "")]

    def filters(self) -> DialRow:
        """Return a filter on the account, mostly none."""
        return {
            "account_status": self.chance.choice(
                ["", "", "", "", "", "paid", "trial", "expired", "canceled", "unknown"],
            ),
            "account_plan": self.chance.choice(["", "", "", "", "", "pro", "enterprise"]),
        }

    def step_rows(self, number: int, keys: list[str]) -> list[DialRow]:
        """Return the one or two rows of a step."""
        level = self.chance.choice(["user", "account"])
        rows = []
        for valid_from, valid_to in self.ranges():
            row = dict.fromkeys(DIAL_COLUMNS["activation_steps"], "")
            row |= {
                "step_key": f"step_{number}",
                "step_name": f"Step {number}",
                "level": level,
                "expires_after_days": self.chance.choice(["", "", "1", "7", "30", "60"]),
                "weight": self.chance.choice(["", "1", "1", "2", "0.5", "3.25"]),
                "feature": self.chance.choice(["", "video", "sharing"]),
                "is_flagship": self.chance.choice(["true", "false"]),
                "valid_from": valid_from,
                "valid_to": valid_to,
            }
            row |= self.filters()
            if self.often(0.25):
                trait, value = self.chance.choice(TRAIT_STEPS[level])
                row |= {"trait": trait, "trait_value": value}
            else:
                counted = ["", "events", "days", "users"] if level == "account" else ["", "days"]
                row |= {
                    "event_key": self.chance.choice(keys),
                    "count_of": self.chance.choice(counted),
                    "min_count": self.chance.choice(["", "1", "1", "2", "3"]),
                    "within_days": self.chance.choice(["", "", "1", "7", "28"]),
                }
            rows.append(row)
        return rows

    def weight_rows(self, model: str, keys: list[str]) -> list[DialRow]:
        """Return the weights of some keys in one model."""
        rows = []
        for key in self.chance.sample(keys, self.chance.randint(1, len(keys))):
            for valid_from, valid_to in self.ranges():
                rows.append(
                    {
                        "score_model": model,
                        "event_key": key,
                        "weight": self.chance.choice(WEIGHTS),
                        "daily_cap": self.chance.choice(["", "", "", "1", "2", "5"]),
                        "valid_from": valid_from,
                        "valid_to": valid_to,
                    },
                )
        return rows

    def dials(self) -> DialFiles:
        """Return the rows of the six files."""
        left_out = {row[0] for row in TRACKED if self.often(0.2)}
        tracked = [row for row in TRACKED if row[0] not in left_out] or list(TRACKED[:1])
        keys = list(dict.fromkeys(row[0] for row in tracked))
        names = ["default", "weekly", "paying"][: self.chance.choice([1, 2, 2, 3])]
        models = []
        for name in names:
            filters = {"account_status": "", "account_plan": ""}
            if name != "default" or self.often(0.2):
                filters = self.filters()
            models.append(
                {
                    "score_model": name,
                    "window_days": self.chance.choice(["1", "7", "14", "30", "30", "90"]),
                    "curve": self.chance.choice(["exponential", "winsorized"]),
                    **filters,
                    "description": f"The model {name}",
                },
            )
        steps = [
            row
            for number in range(self.chance.randint(0, self.size.steps))
            for row in self.step_rows(number, keys)
        ]
        weights = [row for name in names for row in self.weight_rows(name, keys)]
        self.chance.shuffle(steps)
        self.chance.shuffle(weights)
        exclusions = []
        if self.often(0.4):
            exclusions = self.chance.sample(EXCLUSIONS, self.chance.randint(1, 2))
        return {
            "tracked_events": [
                dict(zip(DIAL_COLUMNS["tracked_events"], row, strict=True)) for row in tracked
            ],
            "score_models": models,
            "engagement_weights": weights,
            "activation_steps": steps,
            "flag_rules": shipped_flag_rules(),
            "exclusions": [
                dict(zip(DIAL_COLUMNS["exclusions"], row, strict=True)) for row in exclusions
            ],
        }


def shipped_flag_rules() -> list[DialRow]:
    """Return the product's own flag rules, none where the file is not there yet."""
    if not SHIPPED_FLAG_RULES.exists():
        return []
    with SHIPPED_FLAG_RULES.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def draw_case(chance: random.Random, size: Size, place: Place | None = None) -> Case:
    """Draw one case from a source of randomness."""
    drawer = Drawer(chance, size, place)
    return Case(drawer.raw(), drawer.dials(), drawer.as_of, drawer.timezone)


def random_case(seed: int, size: Size | None = None, place: Place | None = None) -> Case:
    """Draw the case of a seed; without a size or a place, the seed decides that too."""
    chance = random.Random(seed)  # noqa: S311 - test data, and it must replay
    return draw_case(chance, size or chance.choice([SMALL, USUAL, USUAL, LARGE]), place)


def cases(size: Size = SMALL) -> st.SearchStrategy[Case]:
    """Return a hypothesis strategy of cases; every choice is hypothesis's own, so it shrinks."""
    return st.randoms(use_true_random=False).map(lambda chance: draw_case(chance, size))


# --- files --------------------------------------------------------------------------------------


def as_file_value(value: object) -> object:
    """Return a cell as text files hold it."""
    return value.isoformat(sep=" ") if isinstance(value, datetime) else value


def write_rows(rows: list[Row], columns: tuple[str, ...], path: Path) -> None:
    """Write raw rows as one file; the kind is the path's suffix: parquet, ndjson or csv.

    In Parquet a column keeps its type where all its values have the same one, else it is text.
    """
    there = [
        name
        for name in dict.fromkeys([*columns, *(name for row in rows for name in row)])
        if any(name in row for row in rows) and name != "_load_id"
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".ndjson":
        lines = (json.dumps({name: as_file_value(row.get(name)) for name in there}) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return
    data: dict[str, pl.Series] = {}
    for name in there:
        values = [row.get(name) for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {datetime} and name.endswith(("timestamp", "_at")):
            data[name] = pl.Series(values, dtype=pl.Datetime("us"))
        elif kinds == {int}:
            data[name] = pl.Series(values, dtype=pl.Int64)
        else:
            texts = [None if value is None else str(as_file_value(value)) for value in values]
            data[name] = pl.Series(texts, dtype=pl.String)
    frame = pl.DataFrame(data)
    if path.suffix == ".csv":
        frame.write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S%.6f")
    else:
        frame.write_parquet(path)


def write_raw(raw: Tables, folder: Path, name: str = "", kind: str = "parquet") -> None:
    """Write one delivery of raw rows into a landing folder; a table without rows has no file.

    Args:
        raw: Rows by table.
        folder: The landing folder.
        name: What tells this delivery's files from another's, such as `-2`.
        kind: `parquet`, `ndjson` or `csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in raw.items():
        if rows:
            write_rows(rows, RAW_COLUMNS[table], folder / f"{table}{name}.{kind}")


def write_dials(dials: DialFiles, folder: Path) -> None:
    """Write the six dial files; flag rules are the product's own where the case has none."""
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, columns in DIAL_COLUMNS.items():
        path = folder / f"{file_name}.csv"
        rows = dials.get(file_name, [])
        if file_name == "flag_rules" and not rows and SHIPPED_FLAG_RULES.exists():
            shutil.copyfile(SHIPPED_FLAG_RULES, path)
            continue
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def write_case(
    raw: Tables,
    dials: DialFiles,
    folder: Path,
    kind: str = "parquet",
) -> tuple[Path, Path]:
    """Write a case as `folder/raw` (landing) and `folder/seeds` (dials); return the two."""
    write_raw(raw, folder / "raw", kind=kind)
    write_dials(dials, folder / "seeds")
    return folder / "raw", folder / "seeds"
