"""The one way in: draw a fleet, write its raw files and its truths into a folder.

Folder rules and the truths' file belong here; what is drawn does not.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from duckdb import connect

from orchestration.errors import InputError
from orchestration.simulate.activity import ActivityWriter, Calendar, TrackCounts
from orchestration.simulate.catalog import NEW_COMMENT, NOISE, OLD_COMMENT, TRACKED
from orchestration.simulate.delivery import deliver
from orchestration.simulate.fleet import STAFF_DOMAIN, TEST_ACCOUNT, Account, Fleet, build_fleet

EVENTS_PER_ACCOUNT_DAY = 18.5
TRUTHS = "truths.json"
MARKER = "simulation.json"
_UNFINISHED = ".unfinished"
_FIRST_UNTIL, _LAST_UNTIL = "2010-01-01", "2199-12-31"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SimulationResult:
    """What a simulation wrote.

    Attributes:
        rows: number of rows per raw table.
        seconds: how long it took.
        truths: the file that says what was planted.
    """

    rows: dict[str, int]
    seconds: float
    truths: Path


def simulate(
    out: Path,
    *,
    accounts: int,
    days: int,
    events: int | None,
    until: date,
    seed: int = 7,
    progress: Progress | None = None,
) -> SimulationResult:
    """Write raw data of a made-up video-collaboration product, and what is true of it.

    The same arguments give the same rows, whatever the number of threads.

    Args:
        out: a new or empty folder, or one that an earlier call with the same arguments made.
        accounts: number of customer accounts; the first 27 live one story each.
        days: length of the history, which ends with `until`.
        events: number of event rows (± 2 %); None = 18.5 per account and day.
        until: the last full day.
        seed: another seed is another fleet.
        progress: told a sentence now and then.

    Raises:
        InputError: a number is out of range, or the folder holds something else.
    """
    started = perf_counter()
    tell = progress or (lambda _: None)
    arguments: dict[str, Any] = {
        "accounts": accounts,
        "days": days,
        "events": events if events is not None else round(EVENTS_PER_ACCOUNT_DAY * accounts * days),
        "until": until.isoformat(),
        "seed": seed,
    }
    check_numbers(arguments)
    _claim(out, arguments)
    unfinished = out / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "tracks").mkdir(parents=True)

    calendar = Calendar(until - timedelta(days=days - 1), days)
    fleet = build_fleet(
        accounts=accounts, days=days, events=arguments["events"], until=until, seed=seed
    )
    tell(f"{len(fleet.accounts):,} accounts, {len(fleet.members):,} members")
    with connect() as con:
        con.execute("set temp_directory = ?", [str(unfinished / "spill")])
        con.execute("set enable_progress_bar = false")
        writer = ActivityWriter(con, fleet, calendar, events=arguments["events"], seed=seed)
        tracks = writer.write(unfinished / "tracks", tell)
    shutil.rmtree(unfinished / "spill", ignore_errors=True)
    rows = {"tracks": tracks.total}
    truths = _truths(arguments, calendar, fleet, tracks)
    for table, source in (("identifies", fleet.identifies), ("groups", fleet.groups)):
        frame, counts = deliver(
            table, source, staff=set(fleet.staff_ids), last_date=calendar.last_date, seed=seed
        )
        frame.write_parquet(unfinished / f"{table}.parquet")
        rows[table] = frame.height
        truths[table] = counts
    truths["rows"] = rows
    (unfinished / TRUTHS).write_text(json.dumps(truths, indent=1, default=str) + "\n")
    _move_in(unfinished, out)
    return SimulationResult(rows, perf_counter() - started, out / TRUTHS)


def check_numbers(arguments: dict[str, Any]) -> None:
    """Checks what `simulate` is asked for; `until` is given as text.

    Raises:
        InputError: a number is out of range.
    """
    problems = [
        f"simulate: {name} must be {low:,} to {high:,}, not {arguments[name]:,}"
        for name, low, high in (
            ("accounts", 1, 100_000),
            ("days", 7, 3_650),
            ("events", 1, 1_000_000_000),
            ("seed", 0, 2**63 - 1),
        )
        if not low <= arguments[name] <= high
    ]
    if not _FIRST_UNTIL <= arguments["until"] <= _LAST_UNTIL:
        problems.append(
            f"simulate: until must be {_FIRST_UNTIL} to {_LAST_UNTIL}, not {arguments['until']}"
        )
    if problems:
        raise InputError(problems)


def _claim(out: Path, arguments: dict[str, Any]) -> None:
    """Make the folder ours, or say why it is not."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        marker = out / MARKER
        if marker.exists():
            earlier = json.loads(marker.read_text())
            if earlier != arguments:
                raise InputError(
                    f"{out}: holds another simulation ({_spell(earlier)}); choose another folder"
                )
        elif any(out.iterdir()):
            raise InputError(f"{out}: is not empty; choose another folder")
        marker.write_text(json.dumps(arguments) + "\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{out}: cannot be written: {error}") from error


def _spell(arguments: object) -> str:
    if not isinstance(arguments, dict):
        return "unreadable"
    return ", ".join(f"{name} {value}" for name, value in arguments.items())


def _move_in(unfinished: Path, out: Path) -> None:
    """Put the finished files in place; the folder of events is replaced as a whole."""
    shutil.rmtree(out / "tracks", ignore_errors=True)
    for path in sorted(unfinished.iterdir()):
        path.replace(out / path.name)
    unfinished.rmdir()


def _truths(
    arguments: dict[str, Any], calendar: Calendar, fleet: Fleet, tracks: TrackCounts
) -> dict[str, Any]:
    holiday = calendar.holiday_day
    fates = tracks.by_fate
    return {
        "arguments": arguments,
        "calendar": {
            "first_date": calendar.first_date,
            "last_date": calendar.last_date,
            "holiday_from": None if holiday is None else calendar.date_of(holiday),
            "holiday_to": None if holiday is None else calendar.date_of(holiday + 13),
        },
        "renamed_event": {
            "old": OLD_COMMENT,
            "new": NEW_COMMENT,
            "from": calendar.date_of(calendar.rename_day),
            "to": calendar.date_of(calendar.rename_day + 13),
        },
        "tracks": {
            "received": tracks.total,
            "counted": fates["counted"],
            "duplicates": fates["duplicate"],
            "excluded": fates["excluded"],
            "anonymous": fates["anonymous"],
            "waiting": fates["waiting"],
            "quarantined": {
                reason: fates[reason]
                for reason in ("missing_id", "missing_event", "bad_timestamp", "no_identity")
            },
            "inside_counted": tracks.inside_counted,
            "counted_by_event": tracks.by_event,
        },
        "tracked_names": list(TRACKED),
        "untracked_names": sorted(NOISE),
        "excluded": {
            "email": f"*@{STAFF_DOMAIN}",
            "account_id": "test-*",
            "accounts": [TEST_ACCOUNT],
            "users": fleet.staff_ids,
        },
        "two_account_users": fleet.two_account_user_ids,
        "users_without_account": fleet.lone_user_ids,
        "shared_devices": [
            {
                "anonymous_id": device.anonymous_id,
                "account_id": device.group_id,
                "date": calendar.date_of(device.day),
                "device_only_events": {
                    user: len(hours) for user, hours in device.anonymous_hours().items()
                },
            }
            for device in fleet.shared_devices
        ],
        "stories": dict(sorted(Counter(a.story for a in fleet.accounts).items())),
        "accounts": [_account_truth(account, calendar) for account in fleet.accounts],
    }


def _account_truth(account: Account, calendar: Calendar) -> dict[str, Any]:
    life, last = account.life, calendar.days - 1
    return {
        "account_id": account.account_id,
        "account_name": account.name,
        "story": account.story,
        "account_status": _status(account, last),
        "first_date": calendar.date_of(life.first_day),
        "dates": {name: calendar.date_of(day) for name, day in life.dates.items()},
        "user_count": len(account.user_ids),
        "main_user_id": account.user_ids[0] if life.first_user_share is not None else None,
        "expected_flags": life.expected,
        "expected_flags_of_main_user": life.expected_of_first_user,
        "unexpected_flags": list(life.calm),
    }


def _status(account: Account, last: int) -> str:
    """The account's status on the last day, told from its life."""
    life = account.life
    if life.signed_again_day is not None and life.signed_again_day <= last:
        return "paid"
    if life.canceled_day is not None and life.canceled_day <= last:
        return "canceled"
    if life.paid_day is not None and life.paid_day <= last:
        return "paid"
    return "trial" if life.trial and life.trial[1] >= last else "expired"
