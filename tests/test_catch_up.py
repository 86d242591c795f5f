"""Days that were never run: the next run builds them as if each had been run on its day."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import duckdb
from test_cli import accountpulse, ask, different_tables

from orchestration.simulate import simulate

FIRST = date(2026, 3, 1)
LAST = FIRST + timedelta(days=3)
DAILY = ("account_activation_daily", "account_engagement_daily", "user_engagement_daily")


def deliver(simulated: Path, raw: Path, day: date, when: str = "=") -> None:
    """Lands what was received on a day, or up to it (`<=`)."""
    raw.mkdir(exist_ok=True)
    for table, files in (
        ("tracks", simulated / "tracks" / "*.parquet"),
        ("identifies", simulated / "identifies.parquet"),
        ("groups", simulated / "groups.parquet"),
    ):
        duckdb.sql(
            f"copy (from '{files}' where cast(coalesce(received_at, timestamp) as date) {when}"
            f" date '{day}') to '{raw / f'{table}_{day}.parquet'}'"
        )


def run(raw: Path, warehouse: Path, day: date) -> None:
    done = accountpulse("run", "--raw", raw, "--warehouse", warehouse, "--as-of", str(day))
    assert done.returncode == 0, done.stderr


def test_a_run_after_days_without_one_leaves_what_daily_runs_leave(tmp_path: Path) -> None:
    simulated = tmp_path / "simulated"
    simulate(simulated, accounts=30, days=60, events=8_000, until=LAST)
    daily, skipping = tmp_path / "daily", tmp_path / "skipping"
    raw = tmp_path / "raw"
    deliver(simulated, raw, FIRST, "<=")
    run(raw, daily, FIRST)
    shutil.copytree(daily, skipping, symlinks=True)
    day = FIRST
    while day < LAST:
        day += timedelta(days=1)
        deliver(simulated, raw, day)
        run(raw, daily, day)

    run(raw, skipping, LAST)

    for mart in DAILY:
        told = (
            f"select date, count(*) from marts.{mart} where date > '{FIRST}' group by 1 order by 1"
        )
        days = ask(skipping, told)
        assert [day for day, _ in days] == [FIRST + timedelta(days=n) for n in (1, 2, 3)]
        assert days == ask(daily, told)
    # These tell how runs went and in which order files were loaded.
    told = (
        *("ops.runs", "ops.restatements", "ops.data_quality"),
        *("ops.landed_files", "ops.deliveries", "ops.quarantined_events"),
    )
    assert different_tables(skipping, daily, *told) == []
    for sql in (
        "select sum(columns(* exclude (load_id))) from ops.deliveries",
        f"select * from ops.data_quality where as_of_date = '{LAST}'",
        "select * exclude (load_id) from ops.quarantined_events order by all",
        "select table_name, file_name, row_count from ops.landed_files order by all",
    ):
        assert ask(skipping, sql) == ask(daily, sql)
