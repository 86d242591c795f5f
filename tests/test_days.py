"""Days are the customer's days: what Python cuts by the reporting time zone, worked out by hand.

What SQL cuts is in the unit tests of the models and in `test_marts_reference`.
"""

import json
import os
import subprocess
import sys
from datetime import date, datetime, tzinfo
from pathlib import Path

import duckdb
import pytest

from orchestration import project
from orchestration.defs.raw import _check_history
from orchestration.errors import InputError
from orchestration.landing import LandingPlan
from orchestration.project import CHECKOUT, Settings

# the last instant of a day and the first of the next, in UTC
MIDNIGHTS = [
    # clocks go from 02:00 to 03:00, and from 03:00 back to 02:00
    ("Europe/Berlin", "2024-03-31", "2024-03-31 21:59:59", "2024-03-31 22:00:00"),
    ("Europe/Berlin", "2024-10-27", "2024-10-27 22:59:59", "2024-10-27 23:00:00"),
    ("America/New_York", "2024-03-10", "2024-03-11 03:59:59", "2024-03-11 04:00:00"),
    ("America/New_York", "2024-11-03", "2024-11-04 04:59:59", "2024-11-04 05:00:00"),
    # 4 November 2018 began at 01:00; 17 February had 25 hours
    ("America/Sao_Paulo", "2018-11-03", "2018-11-04 02:59:59", "2018-11-04 03:00:00"),
    ("America/Sao_Paulo", "2018-02-17", "2018-02-18 02:59:59", "2018-02-18 03:00:00"),
    ("Asia/Beirut", "2024-03-30", "2024-03-30 21:59:59", "2024-03-30 22:00:00"),
    ("Asia/Beirut", "2024-10-26", "2024-10-26 21:59:59", "2024-10-26 22:00:00"),
    # 3 November 2024 had two midnights: it began with the first
    ("America/Havana", "2024-11-02", "2024-11-03 03:59:59", "2024-11-03 04:00:00"),
    ("Asia/Kolkata", "2024-02-29", "2024-02-29 18:29:59", "2024-02-29 18:30:00"),
    ("Asia/Kathmandu", "2024-12-31", "2024-12-31 18:14:59", "2024-12-31 18:15:00"),
    ("Pacific/Kiritimati", "2024-12-31", "2024-12-31 09:59:59", "2024-12-31 10:00:00"),
    ("UTC", "2024-02-29", "2024-02-29 23:59:59", "2024-03-01 00:00:00"),
]
odd_days = pytest.mark.parametrize(("timezone", "day", "last", "first"), MIDNIGHTS)


def settings(timezone: str) -> Settings:
    return Settings(raw=Path(), warehouse=Path(), seeds=Path(), timezone=timezone)


@odd_days
def test_a_day_is_over_at_the_end_of_it_in_the_reporting_time_zone(
    timezone: str, day: str, last: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def yesterday(clock: str) -> str:
        class Frozen(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "Frozen":
                return cls.fromisoformat(f"{clock}+00:00").astimezone(tz)

        monkeypatch.setattr(project, "datetime", Frozen)
        return settings(timezone).yesterday().isoformat()

    assert yesterday(first) == day
    assert yesterday(last) < day


@odd_days
def test_an_as_of_date_needs_an_event_up_to_the_end_of_its_day(
    timezone: str, day: str, last: str, first: str
) -> None:
    plan = LandingPlan(
        files=(),
        touched=(),
        rewritten=(),
        known_count=0,
        tables={"tracks": {"timestamp": "VARCHAR"}},
    )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("create schema raw")
        connection.execute("create table raw.tracks as select ? as timestamp", [first])
        told = f"no rows on or before {day}; the first one is of"
        with pytest.raises(InputError, match=told) as refused:
            _check_history(connection, plan, date.fromisoformat(day), timezone)
        assert str(refused.value).split()[-1] > day
        connection.execute("update raw.tracks set timestamp = ?", [last])
        _check_history(connection, plan, date.fromisoformat(day), timezone)


def test_the_calendar_has_every_day_and_each_morning_asks_for_the_one_before(
    tmp_path: Path,
) -> None:
    """São Paulo, on both changes of clocks; 06:00 is 08:00 or 09:00 UTC."""
    script = """
import json
from datetime import datetime
import dagster as dg
from orchestration.definitions import defs
calendar = defs.resolve_assets_def(dg.AssetKey("published_marts")).partitions_def
days = [
    calendar.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))
    for first, last in (("2018-02-16", "2018-02-19"), ("2018-11-02", "2018-11-05"))
]
schedule = defs.resolve_schedule_def("every_morning")
asked = []
for tick in ("2018-02-18T06:00-03:00", "2018-11-04T06:00-02:00", "2018-11-05T06:00-02:00"):
    context = dg.build_schedule_context(scheduled_execution_time=datetime.fromisoformat(tick))
    asked += [r.partition_key for r in schedule.evaluate_tick(context).run_requests]
print(json.dumps([schedule.execution_timezone, days, asked]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {
            "ACCOUNTPULSE_REPORTING_TIMEZONE": "America/Sao_Paulo",
            "ACCOUNTPULSE_WAREHOUSE": str(tmp_path),
        },
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [
        "America/Sao_Paulo",
        [
            ["2018-02-16", "2018-02-17", "2018-02-18", "2018-02-19"],
            ["2018-11-02", "2018-11-03", "2018-11-04", "2018-11-05"],
        ],
        ["2018-02-17", "2018-11-03", "2018-11-04"],
    ]
