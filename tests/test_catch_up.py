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


def test_further_traits_and_times_of_any_kind_stop_no_run_and_come_in_any_order(
    tmp_path: Path,
) -> None:
    """Copies that tie but for two traits, of which the first load brought only the later one."""
    raw, daily, full = tmp_path / "raw", tmp_path / "daily", tmp_path / "full"
    raw.mkdir()
    far = "timestamp '294247-01-10 04:00:54'"

    def land(name: str, rows: str) -> None:
        duckdb.sql(f"copy (select date '{FIRST}' as timestamp, {rows}) to '{raw / name}.parquet'")

    event = "'Opened' as event, 'ann' as user_id, 'acme' as context_group_id"
    land("tracks_1", f"'e1' as id, {event}")
    for table, who in (("identifies_b", "user_id"), ("groups_b", "group_id")):
        land(table, f"'other' as id, 'other' as {who}, 9 as zone, 'yes' as \"wide \"\"screen\"")
    run(raw, daily, FIRST)
    land("tracks_2", f"'e2' as id, {event}, {far} as received_at")
    for table, who in (("identifies_a", "user_id"), ("groups_a", "group_id")):
        copies = "unnest([1, 2]) as team, unnest([2, 1]) as zone"
        land(table, f"'copied' as id, 'acme' as {who}, {copies}, {far} as created_at")
    run(raw, daily, LAST)
    run(raw, full, LAST)

    told = "select account_id, traits from marts.accounts order by all"
    assert ask(daily, told) == [
        ("acme", '{"team":"1","zone":"2"}'),
        ("other", '{"wide \\"screen":"yes","zone":"9"}'),
    ]
    assert ask(full, told) == ask(daily, told)
    counted = "select counted_count from ops.data_quality order by as_of_date"
    assert ask(daily, counted) == [(1,), (2,)]
