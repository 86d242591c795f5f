"""Who is there: accounts with their contracts, people with their memberships and devices.

Turns the lives of `stories` into the rows of `identifies` and `groups` and into the members whose
activity `activity` draws. Event rows do not belong here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng

from orchestration.simulate.stories import RHYTHMS, STORIES, YEAR, Life, Phase

USERS_PER_ACCOUNT = 12
EVENTS_PER_USER = 60
"""With fewer events than this per user there are fewer users."""

STAFF_DOMAIN = "framewise.example"
TEST_ACCOUNT = "test-framewise"
SYNC_DAYS = 30
UNKNOWN_STATUS = "Past due"
"""A status that says nothing about trial, paid or canceled."""

NORMAL, EXCLUDED, LONE, VISITOR = range(4)
"""Kinds of member: in an account · staff and tests · without any account · never identified."""

_PREFIX = (
    "Amber", "Arctic", "Atlas", "Beacon", "Birch", "Bold", "Bright", "Cedar", "Cinder", "Clear",
    "Cobalt", "Coral", "Crest", "Delta", "Echo", "Ember", "Fable", "Fern", "Forge", "Golden",
    "Harbor", "Hazel", "Indigo", "Iron", "Juniper", "Keystone", "Lark", "Lumen", "Maple",
    "Meridian", "Mosaic", "North", "Onyx", "Orchid", "Pioneer", "Quartz", "Ridge",
    "Silver", "Summit", "Willow",
)  # fmt: skip
_MIDDLE = (
    "field", "wood", "light", "stone", "water", "bridge", "land", "view", "mark", "line", "works",
    "gate",
)  # fmt: skip
_SUFFIX = (
    "Media", "Studios", "Learning", "Software", "Health", "Retail", "Agency", "Broadcasting",
)  # fmt: skip
_FIRST = (
    "Ada", "Amir", "Ben", "Carla", "Chen", "Dana", "Elif", "Emil", "Fatima", "Gita", "Hana", "Ivan",
    "Jonas", "Kenji", "Lena", "Luis", "Maya", "Mia", "Nils", "Noor", "Olga", "Omar", "Paul",
    "Priya", "Rosa", "Sam", "Tara", "Tom", "Uma", "Vera", "Yusuf", "Zoe",
)  # fmt: skip
_LAST = (
    "Adams", "Ahmed", "Bauer", "Berg", "Brown", "Costa", "Diaz", "Evans", "Fischer", "Garcia",
    "Haas", "Ito", "Jansen", "Kaur", "Keller", "Khan", "Kim", "Larsen", "Lee", "Lopez", "Meyer",
    "Moreau", "Novak", "Okafor", "Park", "Patel", "Rossi", "Sato", "Silva", "Weber", "Wolf",
    "Young",
)  # fmt: skip
_ROLES = ("editor", "producer", "reviewer", "admin", "viewer")
_TITLES = ("Video Editor", "Producer", "Marketing Manager", "Head of Content", "Designer")
_DEPARTMENTS = ("Marketing", "Content", "Sales Enablement", "Product", "People")
_INDUSTRIES = ("media", "education", "software", "health", "retail", "agency")
_OWNERS = ("Alma Reyes", "Bo Lindqvist", "Chika Obi", "Dov Stern", "Erin Walsh", "Farid Nasser")
_REGIONS = {"EMEA": 7, "AMER": 13, "APAC": 0}
"""Region and the UTC hour at which its working day starts."""
_PLANS = ("starter", "team", "business", "enterprise")
_PRICE_PER_SEAT = {"starter": 1500, "team": 2500, "business": 3900, "enterprise": 5500}
"""Minor units per month."""
_STATUS_WORDS: tuple[dict[str, str], ...] = (
    {"paid": "paid", "trial": "trial", "canceled": "canceled"},
    {"paid": "active", "trial": "trialing", "canceled": "cancelled"},
    {"paid": "Active", "trial": "Trial", "canceled": "Churned"},
    {},
)
"""How an account's source spells the status; the last one sends dates only."""


class Member(NamedTuple):
    """A user in an account, as the source of events.

    `rate` is events per day before the scale, `habit` the chance to be active on a working day.
    """

    member_no: int
    account_no: int
    user_id: str | None
    anonymous_id: str
    group_id: str | None
    rate: float
    habit: float
    first_day: int
    last_day: int
    hour: int
    adoption: float
    kind: int
    in_two_accounts: bool


@dataclass
class Account:
    """An account, its life and its people."""

    account_no: int
    account_id: str
    name: str
    story: str
    life: Life
    region: str
    user_ids: list[str] = field(default_factory=list)


class SharedDevice(NamedTuple):
    """One anonymous id on which two users of one account sign in by turns on one day."""

    anonymous_id: str
    first_user_id: str
    second_user_id: str
    group_id: str
    day: int

    def sign_ins(self) -> list[tuple[str, int]]:
        """Who signs in at which hour."""
        return [(self.first_user_id, 9), (self.second_user_id, 12), (self.first_user_id, 15)]

    def anonymous_hours(self) -> dict[str, list[int]]:
        """The hours of the events that carry the device only, per user whom they belong to."""
        return {self.first_user_id: [8, 10, 11, 16], self.second_user_id: [13, 14]}


@dataclass
class Fleet:
    """Everybody, and what the sources say of them."""

    accounts: list[Account]
    members: list[Member]
    phases: list[tuple[int, Phase]]
    rhythms: dict[int, int]
    shared_devices: list[SharedDevice]
    staff_ids: list[str]
    two_account_user_ids: list[str]
    lone_user_ids: list[str]
    identifies: list[dict[str, Any]]
    groups: list[dict[str, Any]]


class _Clock:
    """Turns days of the history into timestamps."""

    def __init__(self, first_date: date) -> None:
        self.midnight = datetime.combine(first_date, time())

    def at(self, day: int, second: int) -> datetime:
        return self.midnight + timedelta(days=day, seconds=second)


def _choose(draw: Generator, values: tuple[str, ...]) -> str:
    return values[int(draw.integers(len(values)))]


def _stories(draw: Generator, accounts: int) -> list[int]:
    """One story per account: each once, then by weight."""
    weights = np.array([weight for _, weight in STORIES])
    once = list(range(min(accounts, len(STORIES))))
    more = draw.choice(len(STORIES), size=accounts - len(once), p=weights / weights.sum())
    return once + [int(s) for s in more]


def _between(draw: Generator, low: int, high: int) -> int:
    return int(draw.integers(low, high + 1))


def _plan(users: int) -> str:
    limits = (3, 12, 60)
    return _PLANS[sum(users > limit for limit in limits)]


def _fit_contract(life: Life, last: int) -> None:
    """Move the start of the contract so that its term ends when the story wants it."""
    if life.contract_ends_in is not None:
        start = last + life.contract_ends_in - YEAR
        life.paid_day = start - YEAR if start > 0 else start


class _FleetBuilder:
    """Builds a fleet step by step from one seed."""

    def __init__(self, *, accounts: int, days: int, events: int, until: date, seed: int) -> None:
        self.draw = default_rng([seed, 1])
        self.last = days - 1
        self.count = accounts
        self.clock = _Clock(until - timedelta(days=self.last))
        self.room = min(1.0, events / EVENTS_PER_USER / (USERS_PER_ACCOUNT * accounts))
        self.user_no = 0
        self.fleet = Fleet([], [], [], {}, [], [], [], [], [], [])

    def build(self) -> Fleet:
        stories = _stories(self.draw, self.count)
        names = self.draw.permutation(len(_PREFIX) * len(_MIDDLE) * len(_SUFFIX))
        sizes = self.draw.lognormal(2.1, 0.9, size=self.count)
        golden_users = max(12, min(640, round(self.count * USERS_PER_ACCOUNT * self.room * 0.09)))
        for number, story in enumerate(stories):
            build_life = STORIES[story][0]
            life = build_life(self.draw, self.last)
            _fit_contract(life, self.last)
            name = self._account_name(int(names[number % len(names)]), number // len(names))
            region = _choose(self.draw, tuple(_REGIONS))
            account = Account(number, f"a{number + 1:04d}", name, build_life.__name__, life, region)
            fewest, most = life.users
            users = round(sizes[number] * self.room)
            if not fewest <= users <= most:
                users = _between(self.draw, fewest, min(most, 2 * fewest))
            if story == 0:
                users = golden_users
            elif golden_users > 40:  # noqa: PLR2004 keeps the golden account the biggest
                users = min(users, golden_users // 2)
            self._add_account(account, users)
        self._add_second_memberships()
        self._add_test_account()
        self._add_staff()
        self._add_lone_users()
        self._add_visitors()
        self._add_shared_devices()
        return self.fleet

    @staticmethod
    def _account_name(code: int, repetition: int) -> str:
        code, suffix = divmod(code, len(_SUFFIX))
        prefix, middle = divmod(code, len(_MIDDLE))
        number = f" {repetition + 1}" if repetition else ""
        return f"{_PREFIX[prefix]}{_MIDDLE[middle]} {_SUFFIX[suffix]}{number}"

    def _add_account(self, account: Account, users: int) -> None:
        life = account.life
        self.fleet.accounts.append(account)
        self.fleet.rhythms[account.account_no] = life.rhythm
        self.fleet.phases += [
            (account.account_no, phase)
            for phase in life.phases
            if phase.last_day >= phase.first_day
        ]
        self._add_contract_rows(account, users)
        weights = self.draw.lognormal(0.0, 0.4 if account.story == "golden" else 0.9, size=users)
        weights /= weights.mean()
        if life.first_user_share is not None and users > 1:
            others = float(weights[1:].sum())
            weights[0] = others * life.first_user_share / (1 - life.first_user_share)
        intensity = life.intensity * float(self.draw.lognormal(0.0, life.spread))
        domain = account.name.lower().replace(" ", "-") + ".example"
        end = life.canceled_day if life.canceled_day is not None else self.last
        if life.signed_again_day is not None:
            end = self.last
        for number in range(users):
            first_day, last_day = self._stay(life, number, end, is_heavy=float(weights[number]) > 1)
            weight = float(weights[number])
            habit = min(0.2 + 0.25 * weight**0.5 + 0.15 * float(self.draw.random()), 0.95)
            if account.story == "golden" or (number == 0 and life.first_user_share is not None):
                habit = 0.95
            user_id = self._add_user(domain, first_day, _REGIONS[account.region])
            account.user_ids.append(user_id)
            self._join(account.account_id, user_id, first_day)
            self._add_member(
                Member(
                    0,
                    account.account_no,
                    user_id,
                    "d" + user_id[1:],
                    account.account_id,
                    intensity * weight,
                    habit,
                    first_day,
                    last_day,
                    _REGIONS[account.region],
                    life.adoption,
                    NORMAL,
                    in_two_accounts=False,
                )
            )

    def _stay(self, life: Life, number: int, end: int, *, is_heavy: bool) -> tuple[int, int]:
        """First and last day of one user in an account."""
        start = life.first_day
        if number == 0:
            last_day = life.first_user_last_day
            return start, self.last if last_day is None else max(last_day, start)
        if life.trial:
            start = min(start + int(self.draw.integers(0, 4)), end)
        if not life.turnover:
            return start, self.last
        fate = self.draw.random()
        if fate < 0.25 and end > start:  # noqa: PLR2004 a quarter joins later
            return int(self.draw.integers(start, end)), self.last
        # Who leaves does not carry the account, or it would be another story.
        if fate > 0.9 and end > start and not is_heavy:  # noqa: PLR2004 a tenth leaves
            return start, int(self.draw.integers(start, end)) + 1
        return start, self.last

    def _add_member(self, member: Member) -> None:
        self.fleet.members.append(member._replace(member_no=len(self.fleet.members)))

    def _add_user(self, domain: str, first_day: int, hour: int, prefix: str = "u") -> str:
        self.user_no += 1
        user_id = f"{prefix}{self.user_no}"
        pick = [int(p) for p in self.draw.integers(0, 1 << 30, size=6)]
        first, last = _FIRST[pick[0] % len(_FIRST)], _LAST[pick[1] % len(_LAST)]
        created = self.clock.at(first_day, hour * 3600 + pick[2] % 3600)
        row = {
            "user_id": user_id,
            "anonymous_id": "d" + user_id[1:] if prefix == "u" else f"d-{user_id}",
            "timestamp": created,
            "email": f"{first}.{last}.{self.user_no}@{domain}".lower(),
            "name": f"{first} {last}",
            "role": _ROLES[pick[3] % len(_ROLES)],
            "title": _TITLES[pick[4] % len(_TITLES)],
            "department": _DEPARTMENTS[pick[5] % len(_DEPARTMENTS)],
            "created_at": created - timedelta(days=pick[2] % 500 if first_day == 0 else 0),
        }
        self.fleet.identifies.append(row)
        if pick[2] % 5 < 2 and first_day + 2 < self.last:  # noqa: PLR2004 two of five sign in again
            again = first_day + 1 + pick[4] % (self.last - first_day - 1)
            self.fleet.identifies.append(
                row
                | {
                    "timestamp": self.clock.at(again, hour * 3600 + pick[3] % 30000),
                    "role": _ROLES[pick[5] % len(_ROLES)],
                }
            )
        return user_id

    def _join(self, account_id: str, user_id: str, day: int) -> None:
        second = int(self.draw.integers(0, 3600))
        self.fleet.groups.append(
            {"group_id": account_id, "user_id": user_id, "timestamp": self.clock.at(day, second)}
        )

    def _add_contract_rows(self, account: Account, users: int) -> None:
        life, draw = account.life, self.draw
        words = _STATUS_WORDS[int(draw.choice(len(_STATUS_WORDS), p=(0.5, 0.2, 0.15, 0.15)))]
        state: dict[str, Any] = {
            "name": account.name,
            "created_at": self.clock.at(
                min(life.first_day, life.paid_day or 0) - int(draw.integers(0, 30)), 36000
            ),
            "industry": _choose(draw, _INDUSTRIES),
            "region": account.region,
            "owner": _choose(draw, _OWNERS),
        }
        for day, news in sorted(self._changes(life, users), key=lambda c: c[0]):
            status = news.pop("is_now", None)
            change = {k: self._moment(v) if k.endswith("_at") else v for k, v in news.items()}
            if status in words:
                change["status"] = words[status]
            if status == "paid":
                state.pop("canceled_at", None)
            state |= change
            at = max(day, 0)
            stamp = self.clock.at(at, 17 * 3600 + 30 if "canceled_at" in change else 1800)
            self.fleet.groups.append({"group_id": account.account_id, "timestamp": stamp} | state)
        self._add_sync_rows(account, state)

    def _moment(self, day: int) -> datetime:
        return self.clock.at(day, 17 * 3600)

    def _changes(self, life: Life, users: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """What the account's source sends, day by day; `_at` values are days."""
        plan = _plan(users)
        seats = max(ceil(users / life.fullness), 1)
        before = ceil(seats / life.upgrade[1]) if life.upgrade else seats
        if life.trial:
            yield life.trial[0], {"is_now": "trial", "plan": plan, "trial_ends_at": life.trial[1]}
        end_of_life = life.canceled_day if life.canceled_day is not None else self.last
        for start, end in ((life.paid_day, end_of_life), (life.signed_again_day, self.last)):
            if start is None:
                continue
            term_end = start + (max(-start, 0) // YEAR + 1) * YEAR
            yield (
                start,
                {
                    "is_now": "paid",
                    "plan": plan,
                    "contract_started_at": start,
                    "contract_ends_at": term_end,
                    "seats": before,
                    "mrr": before * _PRICE_PER_SEAT[plan],
                },
            )
            while 0 < term_end <= end:
                yield term_end, {"contract_ends_at": term_end + YEAR}
                term_end += YEAR
        if life.upgrade:
            yield (
                life.upgrade[0],
                {"seats": seats, "mrr": seats * _PRICE_PER_SEAT[plan]},
            )
        if life.canceled_day is not None:
            yield life.canceled_day, {"is_now": "canceled", "canceled_at": life.canceled_day}

    def _add_sync_rows(self, account: Account, state: dict[str, Any]) -> None:
        """The monthly sync from the customer database repeats what does not tell the status."""
        quiet = {k: state[k] for k in ("name", "industry", "region", "owner")}
        first = account.life.first_day
        for day in range(first + SYNC_DAYS, self.last + 1, SYNC_DAYS):
            row = {"group_id": account.account_id, "timestamp": self.clock.at(day, 7200)} | quiet
            if account.account_no % 20 == 1:
                row["status"] = UNKNOWN_STATUS
            self.fleet.groups.append(row)

    def _add_second_memberships(self) -> None:
        """Some users of steady accounts work for a second account, too."""
        steady = {"steady", "classic", "growing", "quiet", "seasonal"}
        homes = [a for a in self.fleet.accounts if a.story in steady]
        users = len(self.fleet.members)
        if len(homes) < 2:  # noqa: PLR2004 a user needs two accounts
            return
        by_user = {m.user_id: m for m in self.fleet.members}
        for number in range(max(1, users // 100)):
            home, other = homes[number % len(homes)], homes[(number + 1) % len(homes)]
            position = number // len(homes)
            if position >= len(home.user_ids):
                continue
            user_id = home.user_ids[position]
            member = by_user[user_id]
            if user_id in self.fleet.two_account_user_ids:
                continue
            joined = int(self.draw.integers(0, self.last + 1))
            self.fleet.members[member.member_no] = member._replace(in_two_accounts=True)
            self._add_member(
                member._replace(
                    account_no=other.account_no,
                    group_id=other.account_id,
                    rate=member.rate * 0.3,
                    first_day=joined,
                    last_day=self.last,
                    in_two_accounts=True,
                )
            )
            self._join(other.account_id, user_id, joined)
            other.user_ids.append(user_id)
            self.fleet.two_account_user_ids.append(user_id)

    def _extra_account_no(self, mix: str) -> int:
        """A number for people outside of the fleet's accounts, active all the time."""
        number = len(self.fleet.rhythms)
        self.fleet.rhythms[number] = next(iter(RHYTHMS))
        self.fleet.phases.append((number, Phase(0, self.last, 1.0, 1.0, mix)))
        return number

    def _outsider(self, account_no: int, user_id: str | None, device: str, kind: int) -> Member:
        return Member(
            0, account_no, user_id, device, None, 0.4, 0.4, 0, self.last, 8, 0.5, kind, False
        )

    def _add_test_account(self) -> None:
        account_no = self._extra_account_no("full")
        self.fleet.groups.append(
            {
                "group_id": TEST_ACCOUNT,
                "timestamp": self.clock.at(0, 60),
                "name": "Framewise Test",
                "plan": "enterprise",
                "status": "paid",
                "seats": 5,
                "mrr": 0,
                "owner": _OWNERS[0],
            }
        )
        for _ in range(3):
            user_id = self._add_user(STAFF_DOMAIN, 0, 8, "test-u")
            self.fleet.staff_ids.append(user_id)
            self._join(TEST_ACCOUNT, user_id, 0)
            member = self._outsider(account_no, user_id, f"d-{user_id}", EXCLUDED)
            self._add_member(member._replace(group_id=TEST_ACCOUNT, rate=1.5))

    def _add_staff(self) -> None:
        """Own staff visits customers' accounts."""
        for _ in range(2 + self.count // 100):
            user_id = self._add_user(STAFF_DOMAIN, 0, 8, "s")
            self.fleet.staff_ids.append(user_id)
            for _ in range(2):
                account = self.fleet.accounts[int(self.draw.integers(len(self.fleet.accounts)))]
                first_day = account.life.first_day
                self._join(account.account_id, user_id, first_day)
                member = self._outsider(account.account_no, user_id, f"d-{user_id}", EXCLUDED)
                self._add_member(member._replace(group_id=account.account_id, first_day=first_day))

    def _add_lone_users(self) -> None:
        account_no = self._extra_account_no("poor")
        for _ in range(max(2, len(self.fleet.members) // 150)):
            user_id = self._add_user("mail.example", 0, 8, "l")
            self.fleet.lone_user_ids.append(user_id)
            self._add_member(self._outsider(account_no, user_id, f"d-{user_id}", LONE))

    def _add_visitors(self) -> None:
        account_no = self._extra_account_no("visitor")
        for number in range(max(3, len(self.fleet.members) // 4)):
            day = int(self.draw.integers(0, self.last + 1))
            member = self._outsider(account_no, None, f"v{number + 1}", VISITOR)
            self._add_member(
                member._replace(
                    rate=2.0,
                    habit=0.9,
                    first_day=day,
                    last_day=min(day + int(self.draw.integers(0, 9)), self.last),
                )
            )

    def _add_shared_devices(self) -> None:
        """Two colleagues sign in by turns on the device in the meeting room."""
        wanted = max(1, sum(m.kind == NORMAL for m in self.fleet.members) // 200)
        people: dict[str | None, list[Member]] = {}
        for member in self.fleet.members:
            if member.kind == NORMAL and not member.in_two_accounts:
                people.setdefault(member.group_id, []).append(member)
        for number, (account_id, members) in enumerate(people.items()):
            if number == wanted or account_id is None:
                return
            first, second = members[0], members[-1]
            day = max(first.first_day, second.first_day) + 1
            if first is second or day > min(first.last_day, second.last_day):
                continue
            device = SharedDevice(
                f"shared{number + 1}", str(first.user_id), str(second.user_id), account_id, day
            )
            self.fleet.shared_devices.append(device)
            self.fleet.identifies += [
                {
                    "user_id": user_id,
                    "anonymous_id": device.anonymous_id,
                    "timestamp": self.clock.at(day, hour * 3600),
                }
                for user_id, hour in device.sign_ins()
            ]


def build_fleet(*, accounts: int, days: int, events: int, until: date, seed: int) -> Fleet:
    """Draw the accounts, their people and what the sources say of them."""
    return _FleetBuilder(
        accounts=accounts, days=days, events=events, until=until, seed=seed
    ).build()
