"""The SQL marts against the slow reading of the contract, on small nasty data drawn at random.

A failing case names its seed: `raw_cases.random_case(seed, SMALL)` draws it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest
from comparison import differences, read, rows_of
from marts import CompiledMarts
from raw_cases import (
    CALENDAR_EDGES,
    CLOCK_CHANGES,
    DAYS,
    DIAL_COLUMNS,
    LARGE,
    SMALL,
    USUAL,
    Place,
    random_case,
    write_case,
)
from reference import clean

from orchestration.project import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from raw_cases import DialFiles, Size


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> CompiledMarts:
    return CompiledMarts(tmp_path_factory.mktemp("compiled"))


def check(marts: CompiledMarts, seed: int, size: Size, place: Place | None = None) -> None:
    case = random_case(seed, size, place)
    with marts.run(case) as connection:
        assert differences(connection, case) == {}, f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_every_mart_equals_the_slow_reading(marts: CompiledMarts, seed: int) -> None:
    check(marts, seed, SMALL)


@pytest.mark.parametrize("seed", range(100, 103))
def test_every_mart_equals_the_slow_reading_with_full_benchmarks(
    marts: CompiledMarts, seed: int
) -> None:
    check(marts, seed, LARGE)


@pytest.mark.parametrize("seed", [400, 401])
@pytest.mark.parametrize(
    "place", [*CLOCK_CHANGES, *CALENDAR_EDGES], ids=lambda place: f"{place.timezone} {place.as_of}"
)
def test_every_mart_equals_the_slow_reading_where_days_are_odd(
    marts: CompiledMarts, seed: int, place: Place
) -> None:
    check(marts, seed, DAYS, place)


@pytest.mark.parametrize(
    ("seed", "kind", "place"),
    [
        (301, "parquet", None),
        (302, "ndjson", None),
        (303, "csv", None),
        (304, "csv", Place("America/Sao_Paulo", date(2018, 11, 4))),
    ],
)
def test_the_whole_run_equals_the_slow_reading(
    seed: int, kind: str, place: Place | None, tmp_path: Path
) -> None:
    """From files in a landing folder to the published file, by the command."""
    case = random_case(seed, USUAL, place)
    raw, seeds = write_case(case.raw, case.dials, tmp_path, kind=kind)
    subprocess.run(
        [
            *(sys.executable, "-m", "orchestration.cli", "run", "--raw", str(raw)),
            *("--warehouse", str(tmp_path / "warehouse"), "--as-of", str(case.as_of)),
        ],
        env=os.environ
        | {
            "ACCOUNTPULSE_SEEDS": str(seeds),
            "ACCOUNTPULSE_REPORTING_TIMEZONE": case.timezone,
        },
        check=True,
        cwd=CHECKOUT,
    )
    published = tmp_path / "warehouse" / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        ((load,),) = connection.execute(
            "select load_id from ops.landed_files where table_name = 'tracks'"
        ).fetchall()
        tracks = [row | {"_load_id": load} for row in case.raw["tracks"]]
        case = case._replace(raw={**case.raw, "tracks": tracks})
        assert differences(connection, case) == {}, f"seed {seed}"


def test_copies_that_tie_go_by_their_traits_as_text_nulls_first(marts: CompiledMarts) -> None:
    case = random_case(1, SMALL)
    acme = {"id": "g1", "group_id": "acme", "timestamp": "2026-03-01"}
    bolt = acme | {"id": "g2", "group_id": "bolt"}
    groups = [acme | {"seats": "9"}, acme | {"seats": "10"}, bolt | {"name": "B"}]
    groups.append(bolt | {"plan": "pro"})
    case = case._replace(
        raw={"tracks": [], "identifies": [], "groups": groups},
        dials=case.dials | {"exclusions": []},
        as_of=date(2026, 3, 10),
    )
    with marts.run(case) as connection:
        assert connection.execute(
            "select account_id, seat_count, account_name, plan from marts.accounts order by all"
        ).fetchall() == [("acme", 10, None, None), ("bolt", None, None, "pro")]
        assert differences(connection, case) == {}


HISTORIES = ("account_activation_daily", "user_engagement_daily", "account_engagement_daily")


@pytest.mark.parametrize("seed", range(200, 215))
def test_a_later_as_of_date_leaves_earlier_days_as_they_were(
    marts: CompiledMarts, seed: int
) -> None:
    """Promise 2 of the contract, for events that say who and where themselves.

    A later identification or join may give earlier events their owner, exclusions are judged
    on the as-of date, and the restated columns are meant to change: none of them is here.
    """
    case = random_case(seed, SMALL)
    said = [
        row
        | {
            "user_id": clean(row.get("user_id")) or "u1",
            "context_group_id": clean(row.get("context_group_id")) or "7",
        }
        for row in case.raw["tracks"]
    ]
    case = case._replace(raw={**case.raw, "tracks": said}, dials={**case.dials, "exclusions": []})
    earlier = case._replace(as_of=case.as_of - timedelta(days=15))
    with marts.run(case) as late, marts.run(earlier) as early:
        for table in HISTORIES:
            now = [row for row in read(late, table) if row["date"] <= earlier.as_of]
            then = read(early, table)
            names = [name for name in (then[0] if then else ()) if not name.endswith("_restated")]
            assert rows_of(now, names) == rows_of(then, names), f"seed {seed}: {table}"


DATED = ("activation_steps", "engagement_weights")


def with_dated_rows(dials: DialFiles, day: date) -> DialFiles:
    """The dials, where every open step and weight is another from the day after on."""
    after = str(day + timedelta(days=1))
    dated = {**dials}
    for file in DATED:
        rows = []
        for row in dials[file]:
            goes_on = row["valid_from"] <= str(day) and not row["valid_to"]
            rows.append(row | {"valid_to": str(day)} if goes_on else row)
            if goes_on and file == "engagement_weights":
                rows.append(row | {"valid_from": after, "weight": "9.5"})
        dated[file] = rows
    step = dict.fromkeys(DIAL_COLUMNS["activation_steps"], "")
    seen = {"event_key": dials["tracked_events"][0]["event_key"], "valid_from": after}
    for level in ("user", "account"):
        named = {"step_key": f"new_{level}", "step_name": "New", "level": level}
        dated["activation_steps"] = [*dated["activation_steps"], step | named | seen]
    return dated


def test_dated_dials_leave_what_was_scored_and_change_what_is_restated(
    marts: CompiledMarts,
) -> None:
    """Every step retires, two begin, every weight is another from the eleventh last day on."""
    tables = (*HISTORIES, "step_adoption", "event_usage_daily")
    changed = dict.fromkeys(("account_activation_daily", "account_engagement_daily"), 0)
    for seed in range(500, 508):
        case = random_case(seed, SMALL)
        day = case.as_of - timedelta(days=10)
        dated = case._replace(dials=with_dated_rows(case.dials, day))
        with marts.run(case) as plain, marts.run(dated) as after:
            for table in tables:
                then = [row for row in read(plain, table) if row["date"] <= day]
                now = [row for row in read(after, table) if row["date"] <= day]
                names = [name for name in (then or [{}])[0] if not name.endswith("_restated")]
                assert rows_of(now, names) == rows_of(then, names), f"seed {seed}: {table}"
                if table == "account_activation_daily":
                    restated = ["account_id", "date", "activation_rate_restated"]
                    changed[table] += rows_of(now, restated) != rows_of(then, restated)
                elif table == "account_engagement_daily":
                    names = ["account_id", "date", "engagement_points"]
                    rows = [rows_of(read(marts_, table), names) for marts_ in (plain, after)]
                    changed[table] += rows[0] != rows[1]
            assert differences(after, dated) == {}, f"seed {seed}"
    assert all(changed.values())
