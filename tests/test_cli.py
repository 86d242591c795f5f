"""The commands as a person starts them: what they print, what they leave behind, how they end."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration import runs, tested
from orchestration.cli import _exit_code, _source
from orchestration.defs.resources import WAREHOUSE_TAG
from orchestration.execution import prepare_instance
from orchestration.project import CHECKOUT, Settings
from orchestration.simulate import simulate

AS_OF = "2026-03-01"
NEXT_DAY = "2026-03-02"
MARTS = 26


def environment(**further: str) -> dict[str, str]:
    ours = ("ACCOUNTPULSE_", "DAGSTER_", "DBT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONUNBUFFERED": "1"} | further


def accountpulse(
    *arguments: str | Path, checkout: Path = CHECKOUT, **further: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *map(str, arguments)],
        env=environment(**further),
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


class Started(subprocess.Popen[str]):
    """A command at work, and what it said before."""

    first_lines = ""


@contextmanager
def started(*arguments: str | Path, until: str = "intermediate.") -> Iterator[Started]:
    """A command at work: it has said a line with this in it; as a rule it builds models."""
    process = Started(
        [sys.executable, "-m", "orchestration.cli", *map(str, arguments)],
        env=environment(),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    while until not in process.first_lines:
        line = process.stdout.readline()
        assert line, process.first_lines
        process.first_lines += line
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "landing"
    simulate(folder, accounts=30, days=60, events=8_000, until=date.fromisoformat(AS_OF))
    return folder


@pytest.fixture(scope="module")
def first_run(
    raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A warehouse after one run, and what that run printed."""
    folder = tmp_path_factory.mktemp("warehouse") / "of-ours"
    dials = shutil.copytree(CHECKOUT / "seeds", folder.parent / "dials")
    done = accountpulse(
        *("run", "--raw", raw, "--warehouse", folder, "--as-of", AS_OF),
        ACCOUNTPULSE_SEEDS=str(dials),
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def warehouse(first_run: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return first_run[0]


def current(warehouse: Path) -> str:
    return (warehouse / "published" / "current").readlink().name


def ask(warehouse: Path, sql: str) -> list[tuple[object, ...]]:
    path = warehouse / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def different_tables(one: Path, two: Path, *leave_out: str) -> list[str]:
    """Names of the published tables whose rows are not the same in two warehouses."""
    connection = duckdb.connect()
    for name, warehouse in (("one", one), ("two", two)):
        path = warehouse / "published" / "current" / "accountpulse.duckdb"
        connection.execute(f"attach '{path}' as {name} (read_only)")
    tables = {
        database: connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables()"
            " where database_name = ? and schema_name || '.' || table_name not in"
            " (select unnest(?)) order by all",
            [database, list(leave_out)],
        ).fetchall()
        for database in ("one", "two")
    }
    assert tables["one"] == tables["two"]
    assert len(tables["one"]) > MARTS
    return [
        table
        for (table,) in tables["one"]
        if connection.execute(
            f"(from one.{table} except all from two.{table}) union all"
            f" (from two.{table} except all from one.{table}) limit 1"
        ).fetchall()
    ]


def changed_dials(folder: Path, old: str, new: str) -> Path:
    """A copy of the shipped dials in which one word of the steps is another."""
    shutil.copytree(CHECKOUT / "seeds", folder)
    steps = folder / "activation_steps.csv"
    assert old in steps.read_text()
    steps.write_text(steps.read_text().replace(old, new, 1))
    return folder


def test_a_run_shows_every_asset_with_its_rows_and_ends_with_a_summary(
    first_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    warehouse, done = first_run
    rows = dict(re.findall(r"^  ([a-z]+\.\w+) +([\d,]+) rows", done.stdout, re.MULTILINE))

    assert rows["raw.tracks"] == f"{ask(warehouse, 'from ops.data_quality')[0][0]:,}"
    assert sum(name.startswith("marts.") for name in rows) == MARTS
    ((accounts, active),) = ask(
        warehouse,
        "select count(*), count(*) filter (is_active) from marts.account_engagement"
        " where is_default_model",
    )
    assert int(str(accounts)) > 0
    assert f"of them active {active}" in done.stdout
    assert "run-00001-2026-03-01: the marts describe 2026-03-01" in done.stdout
    assert "high_engagement_low_activation" in done.stdout
    warning = "check statuses_of_accounts_are_known: warning\n    A group call has a status that is"
    assert warning in done.stdout
    assert str(warehouse / "published" / "current" / "accountpulse.duckdb") in done.stdout


def test_a_run_leaves_the_dial_files_as_they_are(warehouse: Path) -> None:
    """A dial folder outside of the project is where dbt would write what it ran for a seed."""
    for dial in (CHECKOUT / "seeds").glob("*.csv"):
        assert (warehouse.parent / "dials" / dial.name).read_bytes() == dial.read_bytes()


def test_every_published_column_says_what_it_holds(warehouse: Path) -> None:
    silent = "select table_name, column_name from duckdb_columns() where comment is null"
    assert ask(warehouse, f"{silent} and not internal and schema_name <> 'reference'") == []


def test_the_record_of_a_run_says_what_it_was_made_from(warehouse: Path) -> None:
    told = ask(
        warehouse,
        "select run_id, length(dial_fingerprint), reporting_timezone, cast(as_of_date as varchar),"
        " from_date, restated_from_date from ops.runs",
    )
    assert told == [("run-00001-2026-03-01", 64, "UTC", AS_OF, None, None)]


def test_a_run_with_nothing_new_to_do_says_so_and_publishes_nothing(
    warehouse: Path, raw: Path
) -> None:
    before = current(warehouse)
    left_by_an_erasure = warehouse / "work.duckdb.erasing"
    left_by_an_erasure.touch()

    done = accountpulse("run", "--raw", raw, "--warehouse", warehouse, "--as-of", AS_OF)

    assert done.returncode == 0
    assert not left_by_an_erasure.exists()
    assert f"nothing new: the marts describe {AS_OF} already" in done.stdout
    assert current(warehouse) == before


def test_dagster_materialising_one_partition_does_the_same_as_the_command(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    other = tmp_path / "warehouse"
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dagster", "asset", "materialize", "--select", "*"),
            *("--partition", AS_OF, "-m", "orchestration.definitions"),
        ],
        env=environment(
            ACCOUNTPULSE_RAW=str(raw),
            ACCOUNTPULSE_WAREHOUSE=str(other),
            DAGSTER_HOME=str(tmp_path / "home"),
        ),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    assert different_tables(warehouse, other, "ops.runs", "ops.landed_files") == []
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        (run,) = instance.get_runs()
    assert run.tags[WAREHOUSE_TAG] == str(other)


def materialize(
    selection: str, warehouse: Path, raw: Path, home: Path, partition: str | None = NEXT_DAY
) -> subprocess.CompletedProcess[str]:
    """What Dagster makes of some assets."""
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [
            *(sys.executable, "-m", "dagster", "asset", "materialize", "--select", selection),
            *(("--partition", partition) if partition else ()),
            *("-m", "orchestration.definitions"),
        ],
        env=environment(
            ACCOUNTPULSE_RAW=str(raw),
            ACCOUNTPULSE_WAREHOUSE=str(warehouse),
            DAGSTER_HOME=str(home),
        ),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_marts_are_not_published_with_the_flags_of_another_day(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    before = current(copy)

    done = materialize('not group:"signals"', copy, raw, tmp_path / "home")

    assert done.returncode != 0
    told = f"built and tested are the marts of {NEXT_DAY} without account_score_trends"
    assert told in done.stderr
    assert current(copy) == before
    done = materialize('group:"signals"+', copy, raw, tmp_path / "home")
    assert done.returncode == 0, done.stderr[-3000:]
    days = "select distinct as_of_date::varchar from marts.{} where as_of_date is not null"
    for mart in ("account_health", "account_score_trends", "account_flags"):
        assert ask(copy, days.format(mart)) == [(NEXT_DAY,)]

    mark = tested.read(copy / ".tested")
    assert mark
    assert (mark.as_of, mark.missing) == (NEXT_DAY, ())
    tested.redo(copy / ".tested", date.fromisoformat(NEXT_DAY), "flags")
    done = materialize("published_marts", copy, raw, tmp_path / "home")
    assert f"the marts of {NEXT_DAY} without dbt_after_signals, flags, not of" in done.stderr
    tested.redo(copy / ".tested", date.fromisoformat(AS_OF), "flags")
    assert tested.read(copy / ".tested") is None


CHECKS_ALONE = """
import dagster as dg
from orchestration.definitions import defs

job = defs.resolve_implicit_global_asset_job_def()
named = {"user_engagement_is_the_last_day", "flags_have_a_first_reason"}
checks = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.name in named}
alone = job.get_subset(asset_selection=set(), asset_check_selection=checks)
done = alone.execute_in_process(instance=dg.DagsterInstance.ephemeral(), raise_on_error=False)
for check in done.get_asset_check_evaluations():
    to_see = check.metadata.get("to see them", dg.TextMetadataValue("")).value
    print(check.check_name, check.passed, check.metadata["rows"].value, to_see)
"""


def test_checks_by_themselves_are_of_the_day_that_is_there_and_leave_everything(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    mark = tested.read(copy / ".tested")
    with duckdb.connect(str(copy / "work.duckdb")) as work:
        work.execute(
            "update marts.user_engagement set engagement_points = engagement_points + 1"
            " where rowid = (select min(rowid) from marts.user_engagement)"
        )

    done = subprocess.run(
        [sys.executable, "-c", CHECKS_ALONE],
        env=environment(ACCOUNTPULSE_RAW=str(raw), ACCOUNTPULSE_WAREHOUSE=str(copy)),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert told.pop("flags_have_a_first_reason") == "True 0 "
    ((name, failed),) = told.items()
    assert name == "user_engagement_is_the_last_day"
    assert failed.startswith("False 2 accountpulse query ")
    assert len(shown(failed)) == 2
    assert tested.read(copy / ".tested") == mark is not None


def shown(line: str) -> list[str]:
    """The rows that the command at the end of a line shows."""
    command = line.partition("accountpulse query ")[2]
    asked = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m orchestration.cli query --format csv {command}"],
        env=environment(),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.splitlines()[1:]


def test_rows_of_a_run_that_died_before_its_publication_are_published_by_the_next(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    published, before = copy / "published", current(copy)
    # One more event where there are some: no mart has another row by it.
    ((account, user, day, count),) = ask(
        copy,
        "select account_id, user_id, date::varchar, event_count from marts.event_usage_daily"
        " where event_key = 'video_viewed' and user_id is not null order by date, user_id limit 1",
    )
    more = shutil.copytree(raw, tmp_path / "raw")
    (more / "tracks" / "late.csv").write_text(
        f"id,event,timestamp,user_id,context_group_id\nlate,Video Viewed,{day},{user},{account}\n"
    )
    command = ("run", "--raw", more, "--warehouse", copy, "--as-of", AS_OF)
    with subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", *map(str, command)],
        env=environment(),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
    ) as unread:
        assert unread.stdout
        unread.stdout.readline()
        unread.stdout.close()
    assert unread.returncode == 0
    assert current(copy) != before
    shutil.rmtree(published / current(copy))
    (published / "current").unlink()
    shutil.copytree(published / before, published / "current")
    refused = accountpulse(*command)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"{published / 'current'}: is no link to a version")
    shutil.rmtree(published / "current")
    (published / "current").symlink_to(before)
    with duckdb.connect(str(copy / "work.duckdb")) as work:
        runs.forget_unpublished(work, published)

    assert accountpulse(*command).returncode == 0
    counted = "select event_count from marts.event_usage_daily where event_key = 'video_viewed'"
    found = ask(copy, f"{counted} and user_id = '{user}' and date = '{day}'")
    assert found == [(int(str(count)) + 1,)]
    done = materialize("published_marts", copy, more, tmp_path / "home", AS_OF)
    assert f"these marts are published as {current(copy)}: to make them anew" in done.stderr


def test_rows_that_came_in_since_the_models_are_not_published_as_known(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    more = shutil.copytree(raw, tmp_path / "raw")
    (more / "tracks" / "late.csv").write_text(
        "id,event,timestamp,user_id\nlate,Video Viewed,2026-02-27,late\n"
    )
    assert materialize('group:"raw"', copy, more, tmp_path / "home", None).returncode == 0
    done = materialize("published_marts", copy, more, tmp_path / "home", AS_OF)
    assert "before raw rows or dials came in" in done.stderr

    done = materialize("marts/accounts", copy, more, tmp_path / "home", None)
    assert done.returncode == 0, done.stderr[-3000:]
    done = accountpulse("run", "--raw", more, "--warehouse", copy, "--as-of", AS_OF)
    assert done.returncode == 0, done.stderr
    assert ask(copy, "select user_id from marts.users where user_id = 'late'") == [("late",)]


def test_two_warehouses_that_share_a_new_instance_make_it_one_after_the_other(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    make = [sys.executable, "-m", "orchestration.execution"]
    made = [
        subprocess.Popen(
            make,
            env=environment(DAGSTER_HOME=str(home), ACCOUNTPULSE_WAREHOUSE=str(tmp_path / name)),
            cwd=CHECKOUT,
        )
        for name in ("one", "two", "three")
    ]

    assert [process.wait() for process in made] == [0, 0, 0]

    for path in ("history/runs.db", "schedules/schedules.db"):
        with closing(sqlite3.connect(home / path)) as connection:
            assert len(connection.execute("select * from alembic_version").fetchall()) == 1


def test_records_of_dagster_that_are_there_keep_their_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", environment(DAGSTER_HOME=str(tmp_path)))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("theirs", ["one"])
    prepare_instance(Settings.resolve(warehouse=tmp_path / "warehouse"))
    with dg.DagsterInstance.get() as instance:
        assert list(instance.get_dynamic_partitions("theirs")) == ["one"]
    assert not (tmp_path / "dagster.yaml").exists()


def test_a_home_with_nothing_of_dagsters_gets_our_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", environment(DAGSTER_HOME=str(tmp_path)))
    (tmp_path / "lost+found").mkdir()
    prepare_instance(Settings.resolve(warehouse=tmp_path / "warehouse"))
    assert "telemetry" in (tmp_path / "dagster.yaml").read_text()


def test_dagsters_pages_are_not_begun_without_a_home() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "orchestration.execution"],
        env=environment(ACCOUNTPULSE_RAW="/no/such/folder"),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "/no/such/folder: no such folder of raw data\n"


def test_an_event_log_that_was_not_made_to_its_end_is_made_anew(
    raw: Path, warehouse: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    (copy / ".dagster" / ".made").unlink()
    (copy / ".dagster" / "event_log.db").write_bytes(b"")
    done = accountpulse("run", "--raw", raw, "--warehouse", copy, "--as-of", NEXT_DAY)
    assert done.returncode == 0, done.stderr


def test_rows_of_a_raw_table_that_was_dropped_are_in_no_mart_any_more(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    fewer = shutil.copytree(raw, tmp_path / "raw")
    next(fewer.glob("tracks/*-02-*.parquet")).unlink()
    with duckdb.connect(str(copy / "work.duckdb")) as connection:
        loads = connection.execute("select max(load_id) from ops.landed_files").fetchone()
        connection.execute("drop table raw.tracks")

    for folder in (copy, tmp_path / "anew"):
        done = accountpulse("run", "--raw", fewer, "--warehouse", folder, "--as-of", AS_OF)
        assert done.returncode == 0, done.stderr

    numbered = ("ops.runs", "ops.landed_files", "ops.deliveries", "ops.quarantined_events")
    assert different_tables(copy, tmp_path / "anew", *numbered, "ops.restatements") == []
    path = copy / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute(
            "from ops.restatements where event_usage_daily_count > 0"  # the days that lost rows
        ).fetchall()
    again = "select min(load_id) from ops.landed_files where table_name = 'tracks'"
    assert ask(copy, again) == [(loads[0] + 1,)] if loads else False


def test_views_of_raw_rows_with_times_and_numbers_as_text_give_the_same_marts(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    """With weights of steps that are all so large that their sum fits no 32 bits."""
    seeds = shutil.copytree(CHECKOUT / "seeds", tmp_path / "seeds")
    steps = seeds / "activation_steps.csv"
    with steps.open(newline="") as file:
        header, *rows = csv.reader(file)
    at = header.index("weight")
    for row in rows:
        row[at] = str(int(float(row[at] or 1) * 300_000))
    with steps.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    other = tmp_path / "warehouse"
    for folder in (other, tmp_path / "nothing"):
        folder.mkdir()
    with duckdb.connect(str(other / "work.duckdb")) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("create schema source")
        connection.execute("create schema raw")
        for table in ("tracks", "identifies", "groups"):
            files = raw / table / "*.parquet" if table == "tracks" else raw / f"{table}.parquet"
            connection.execute(f"create table source.{table} as from '{files}'")
            times = connection.execute(
                "select column_name from duckdb_columns() where schema_name = 'source'"
                " and table_name = ? and data_type = 'TIMESTAMP'",
                [table],
            ).fetchall()
            spelled = "interval 2 hour, '%Y-%m-%d %H:%M:%S.%f +02:00'"
            if table == "groups":
                spelled = "interval 0 hour, '%Y-%m-%dt%H:%M:%S.%fz'"
            as_text = [
                f"""case when "{time}" is not null then
                strftime("{time}" + {spelled})
                end as "{time}" """
                for (time,) in times
            ]
            if table == "groups":
                as_text.append("seats || '.0' as seats")
            connection.execute(
                f"create view raw.{table} as select * replace ({', '.join(as_text)})"
                f" from source.{table}"
            )

    done = accountpulse(
        *("run", "--raw", tmp_path / "nothing", "--warehouse", other, "--as-of", AS_OF),
        ACCOUNTPULSE_SEEDS=str(seeds),
    )

    assert done.returncode == 0, done.stderr
    numbered = ("ops.runs", "ops.landed_files", "ops.deliveries", "ops.quarantined_events")
    evidence = ("marts.flag_history", "marts.account_flags", "marts.user_flags")
    weighted = (
        *("reference.activation_steps", "marts.user_activation_steps"),
        "marts.account_activation_steps",
    )
    assert different_tables(warehouse, other, *numbered, *evidence, *weighted) == []
    listed = "select source_table, reason, count(*) from ops.quarantined_events group by all"
    assert sorted(ask(other, listed)) == sorted(ask(warehouse, listed)) != []
    opened = "select entity, account_id, user_id, flag_key, opened_date from marts.flag_history"
    assert sorted(map(str, ask(other, opened))) == sorted(map(str, ask(warehouse, opened)))


def test_a_second_writer_is_told_who_writes_and_ctrl_c_leaves_everything_sound(
    warehouse: Path, raw: Path
) -> None:
    before = current(warehouse)
    run = ("run", "--raw", raw, "--warehouse", warehouse, "--as-of", AS_OF, "--full-refresh")
    with started(*run) as first, started(*run, until="waiting for it") as second:
        assert second.poll() is None
        reader = accountpulse("query", "select 1 as one", "--warehouse", warehouse)
        second.send_signal(signal.SIGINT)
        refused, _ = second.communicate(timeout=60)
        first.send_signal(signal.SIGINT)
        told, _ = first.communicate(timeout=60)

    assert f"{warehouse} is being written by process {first.pid} since 20" in second.first_lines
    assert second.returncode == 1
    assert refused.strip() == "stopped; what is published is as it was"
    assert reader.returncode == 0
    assert first.returncode == 1
    assert "stopped; what is published is as it was" in told
    assert current(warehouse) == before


def test_a_killed_run_leaves_the_published_version_and_the_next_run_just_works(
    warehouse: Path, raw: Path
) -> None:
    before = current(warehouse)
    run = ("run", "--raw", raw, "--warehouse", warehouse, "--as-of", NEXT_DAY)
    with started(*run) as process:
        process.kill()
    assert current(warehouse) == before
    (warehouse / "published" / f"run-00099-{NEXT_DAY}.partial").mkdir()

    done = accountpulse(*run)

    assert done.returncode == 0, done.stderr
    assert current(warehouse) == f"run-00002-{NEXT_DAY}"
    assert not list((warehouse / "published").glob("*.partial"))
    assert ask(warehouse, "select distinct as_of_date from marts.account_health") == [
        (date.fromisoformat(NEXT_DAY),)
    ]


KILLING = """
import multiprocessing
from contextlib import contextmanager
from orchestration import cli, report

@contextmanager
def progress():
    def kill(happening):
        if happening.name.startswith("intermediate."):
            for child in multiprocessing.active_children():
                child.kill()
    yield kill

report.progress = progress
cli.main()
"""


def test_when_the_process_of_dbt_is_killed_the_run_says_so_and_the_next_one_just_works(
    raw: Path, tmp_path: Path
) -> None:
    run = ("run", "--raw", str(raw), "--warehouse", str(tmp_path), "--as-of", AS_OF)

    killed = subprocess.run(
        [sys.executable, "-c", KILLING, *run],
        env=environment(),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert killed.returncode == 1
    assert killed.stderr.strip() == (
        "dbt_models: dbt ended unexpectedly (exit code -9); if memory was short: --memory-limit"
    )
    assert not (tmp_path / "published" / "current").exists()

    done = accountpulse(*run)

    assert done.returncode == 0, done.stderr
    assert current(tmp_path) == f"run-00001-{AS_OF}"


def test_an_earlier_as_of_date_is_refused_and_possible_in_another_folder(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    before = current(warehouse)
    with duckdb.connect(str(warehouse / "work.duckdb"), read_only=True) as connection:
        loads = connection.execute("from ops.landed_files order by load_id").fetchall()
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw" / "tracks_new.csv").write_text(
        f"id,event,timestamp,user_id\nnew-1,Video Viewed,{AS_OF}T10:00:00Z,u\n"
    )
    earlier = ("run", "--raw", tmp_path / "raw", "--as-of", AS_OF)

    refused = accountpulse(*earlier, "--warehouse", warehouse)

    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert f"as of {AS_OF}: {warehouse} describes {NEXT_DAY} already" in line
    assert "needs another --warehouse folder" in line
    assert current(warehouse) == before
    with duckdb.connect(str(warehouse / "work.duckdb"), read_only=True) as connection:
        assert connection.execute("from ops.landed_files order by load_id").fetchall() == loads

    done = accountpulse(*earlier, "--warehouse", tmp_path / "other")

    assert done.returncode == 0, done.stderr
    assert current(tmp_path / "other") == f"run-00001-{AS_OF}"


def test_two_backfills_and_a_daily_run_at_once_queue_up_and_leave_what_runs_in_turn_leave(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    day = "2026-03-03"
    run = ("run", "--raw", raw, "--as-of", day, "--warehouse")
    asked = [(), ("--from", "2026-02-10"), ("--from", "2026-01-20")]
    at_once, in_turn = tmp_path / "at-once", tmp_path / "in-turn"
    for folder in (at_once, in_turn):
        shutil.copytree(warehouse, folder, symlinks=True)

    with ExitStack() as stack:
        processes = [stack.enter_context(started(*run, at_once, *more, until="")) for more in asked]
        told = [process.first_lines + process.communicate(timeout=300)[0] for process in processes]
    for more in asked:
        assert accountpulse(*run, in_turn, *more).returncode == 0

    assert [process.returncode for process in processes] == [0, 0, 0], told
    assert sum(f"{at_once} is being written by process" in said for said in told) == 2
    assert different_tables(at_once, in_turn, "ops.runs") == []
    # A daily run that comes after a backfill has nothing new to do.
    restated = "select from_date, as_of_date from ops.runs where from_date is not null order by 1"
    assert ask(at_once, restated) == ask(in_turn, restated)
    assert len(ask(at_once, restated)) == 2


def test_who_waited_finds_nothing_new_when_the_run_before_did_the_same(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    run = ("run", "--raw", raw, "--warehouse", folder, "--as-of", "2026-03-03")
    with started(*run) as first, started(*run, until="waiting for it") as second:
        first.communicate(timeout=300)
        told, _ = second.communicate(timeout=300)

    assert (first.returncode, second.returncode) == (0, 0)
    assert "nothing new: the marts describe 2026-03-03 already" in told
    assert current(folder) == "run-00003-2026-03-03"


def test_a_damaged_published_file_does_not_stop_the_next_run(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    ours = tmp_path / "ours"
    shutil.copytree(warehouse, ours, symlinks=True)
    file = ours / "published" / "current" / "accountpulse.duckdb"
    file.chmod(0o644)
    os.truncate(file, 100_000)

    as_of = current(ours)[-len(AS_OF) :]
    done = accountpulse(
        *("run", "--raw", raw, "--warehouse", ours, "--as-of", as_of, "--full-refresh")
    )

    assert done.returncode == 0, done.stderr
    counted = "select count(*) from marts.accounts"
    assert ask(ours, counted) == ask(warehouse, counted)

    file = ours / "published" / "current" / "accountpulse.duckdb"
    file.chmod(0o644)
    os.truncate(file, 0)
    done = accountpulse("run", "--raw", raw, "--warehouse", ours, "--as-of", as_of)
    assert done.returncode == 0, done.stderr
    assert ask(ours, counted) == ask(warehouse, counted)


def test_a_failing_check_names_itself_shows_the_way_to_its_rows_and_changes_nothing(
    warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    """The product, with one check that cannot pass."""
    before = current(warehouse)
    for part in ("orchestration", "dbt_project", "seeds"):
        shutil.copytree(CHECKOUT / part, tmp_path / part)
    wrong = tmp_path / "dbt_project" / "tests" / "no_account_is_ever_here.sql"
    wrong.write_text("-- One row per account.\nselect account_id from {{ ref('accounts') }}")

    done = accountpulse(
        *("run", "--raw", raw, "--warehouse", warehouse, "--as-of", NEXT_DAY),
        checkout=tmp_path,
        PYTHONPATH=str(tmp_path),
    )

    assert done.returncode == 1
    ((count,),) = ask(warehouse, "select count(*) from marts.accounts")
    line = next(line for line in done.stderr.splitlines() if "no_account_is_ever_here" in line)
    assert f"check no_account_is_ever_here failed with {count} rows" in line
    assert current(warehouse) == before
    assert len(shown(line)) == count


def test_a_wrong_dial_stops_run_and_check_within_two_seconds_before_anything_is_written(
    raw: Path, tmp_path: Path
) -> None:
    dials = changed_dials(tmp_path / "seeds", "integration_connected", "integration_conected")
    for command in ("run", "check"):
        begun = time.monotonic()
        done = accountpulse(
            *(command, "--raw", raw, "--warehouse", tmp_path / "warehouse"),
            ACCOUNTPULSE_SEEDS=str(dials),
        )
        assert done.returncode == 2
        assert time.monotonic() - begun < 2 * 5  # five times: the machine may be busy
        (line,) = done.stderr.splitlines()
        assert re.search(
            r"activation_steps\.csv:\d+: column event_key: 'integration_conected'", line
        )
        assert "integration_connected" in line
    assert not (tmp_path / "warehouse").exists()


def test_check_writes_nothing_and_says_what_is_there(raw: Path, tmp_path: Path) -> None:
    done = accountpulse("check", "--raw", raw, "--warehouse", tmp_path / "warehouse")

    assert done.returncode == 0, done.stderr
    assert "new files" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_raw_rows_come_from_the_work_file_where_there_is_no_landing_folder(
    raw: Path, tmp_path: Path
) -> None:
    settings = Settings.resolve(raw=raw, warehouse=tmp_path)

    assert _source(settings) == raw
    assert _source(replace(settings, raw=tmp_path / "none")) == tmp_path / "work.duckdb"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--as-of", "2999-01-01"], r"--as-of 2999-01-01: this day is not over in UTC"),
        (["--as-of", "yesterday"], r"'yesterday' is not a date like 2026-01-31"),
        (["--as-of", AS_OF, "--from", "2026-03-02"], r"--from 2026-03-02 is after the as-of"),
        (["--as-of", AS_OF, "--from", "1999-12-31"], r"there are no days before 2000-01-01"),
        (["--raw", "/no/such/folder"], r"/no/such/folder: no such folder of raw data"),
        (["--as-of", "2025-01-01"], r"no rows on or before 2025-01-01; the first one is of 20"),
        (["--memory-limit", "lots"], "'lots' is not a size such as 3GB"),
        (
            ["--as-of", "1999-12-31"],
            "--as-of 1999-12-31: times before 2000-01-01 are bad timestamps",
        ),
        (["--raw", ""], "Invalid value for '--raw': is empty"),
        (["--warehouse", __file__], "test_cli.py: is a file, not the folder of a warehouse"),
        (["--raw", "w\udce9"], "w\ufffd: is not UTF-8, as names and ids are to be"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], told: str, raw: Path, tmp_path: Path
) -> None:
    done = accountpulse("run", "--raw", raw, "--warehouse", tmp_path / "warehouse", *arguments)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert re.search(told, line)
    assert not (tmp_path / "warehouse" / "published").exists()


def test_too_little_memory_is_told_in_one_line(raw: Path, tmp_path: Path) -> None:
    done = accountpulse(
        *("run", "--raw", raw, "--warehouse", tmp_path, "--as-of", AS_OF, "--memory-limit", "10MB")
    )

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.search(r"needs more memory than 10MB: give it some with --memory-limit", line)


@pytest.mark.parametrize("name", ["localtime", "posix/Europe/Berlin", "Mars/Olympus"])
def test_a_time_zone_that_the_database_does_not_know_is_told_first(
    name: str, raw: Path, tmp_path: Path
) -> None:
    done = accountpulse(
        *("check", "--raw", raw, "--warehouse", tmp_path / "warehouse"),
        ACCOUNTPULSE_REPORTING_TIMEZONE=name,
    )

    assert (done.returncode, done.stderr) == (2, f"reporting time zone '{name}' is not known\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seed", "-1"], "simulate: seed must be 0 to"),
        (["--until", "0001-01-05"], "simulate: until must be 2010-01-01 to 2199-12-31"),
        (["--until", "9999-12-31"], "simulate: until must be 2010-01-01 to 2199-12-31"),
    ],
)
def test_a_simulation_that_cannot_be_made_leaves_nothing(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    size = ("--accounts", "2", "--days", "10", "--out", str(tmp_path / "made"))
    done = accountpulse("simulate", *size, *arguments)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(told)
    assert not (tmp_path / "made").exists()


def test_a_missing_column_and_an_unreadable_file_are_told_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "tracks.csv").write_text("id,timestamp,user_id\n1,2026-01-01,u\n")
    (folder / "groups.parquet").write_text("this is no parquet")

    done = accountpulse("run", "--raw", folder, "--warehouse", tmp_path / "w", "--as-of", AS_OF)

    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert any("tracks.csv: table tracks: the required column event" in line for line in lines)
    assert any("groups.parquet: cannot be read" in line for line in lines)
    assert len(lines) == 2
    with duckdb.connect(str(tmp_path / "w" / "work.duckdb")) as connection:
        assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]


def test_a_warehouse_that_cannot_be_written_is_told_in_one_line(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = accountpulse("run", "--raw", raw, "--warehouse", tmp_path / "file" / "warehouse")

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "file") in line


def test_only_trouble_with_the_disk_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    """A defect keeps its traceback, also where a file was looked for on the way."""
    assert _exit_code(lambda: fail(sqlite3.OperationalError("disk I/O error"))) == 1
    assert "is the disk full?" in capsys.readouterr().err
    assert _exit_code(lambda: fail(sqlite3.DatabaseError("file is not a database"))) == 1
    assert "Dagster's records are damaged" in capsys.readouterr().err
    with pytest.raises(KeyError):
        _exit_code(lambda: fail(FileNotFoundError("no such file")))


def fail(why: Exception) -> None:
    """Fail with something behind it."""
    raise KeyError("runs") from why


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_damaged_work_file_is_told_in_one_line(command: str, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "work.duckdb").write_text("garbage" * 100)
    as_of = ("--as-of", AS_OF) if command == "run" else ()

    done = accountpulse(command, "--raw", raw, "--warehouse", tmp_path, *as_of)

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{tmp_path / 'work.duckdb'} is damaged: move it away" in line


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_work_file_that_was_cut_or_overwritten_is_told_in_one_line(
    damage: str, warehouse: Path, raw: Path, tmp_path: Path
) -> None:
    path = tmp_path / "work.duckdb"
    content = bytearray((warehouse / "work.duckdb").read_bytes())
    content[:4] = b"xxxx" if damage == "overwritten" else content[:4]
    path.write_bytes(content[: len(content) // 3] if damage == "cut" else content)

    done = accountpulse("check", "--raw", raw, "--warehouse", tmp_path)

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{path} is damaged: move it away" in line


def test_a_query_prints_a_table_csv_or_json(warehouse: Path) -> None:
    sql = "select 'a|b' as name, 1.50 as points, null as nothing, date '2026-01-31' as day"
    table = accountpulse("query", sql, "--warehouse", warehouse)
    csv = accountpulse("query", sql, "--warehouse", warehouse, "--format", "csv")
    rows = accountpulse("query", sql, "--warehouse", warehouse, "--format", "json")

    assert all(word in table.stdout for word in ("name", "a|b", "1.50", "2026-01-31"))
    assert csv.stdout == "name,points,nothing,day\na|b,1.50,,2026-01-31\n"
    assert json.loads(rows.stdout) == [
        {"name": "a|b", "points": 1.5, "nothing": None, "day": "2026-01-31"}
    ]


def test_a_table_shows_what_a_terminal_would_obey(warehouse: Path) -> None:
    sql = (
        "select 'a' || chr(27) || '[2Jb' || chr(155) || chr(7) as name,"
        ' 1 as "b\x1b[2J", 2 as "[/-]"'
    )

    table = accountpulse("query", sql, "--warehouse", warehouse)

    assert r"a\x1b[2Jb\x9b\x07" in table.stdout
    assert re.search(r"b\\x1b\[2J .* \[/-\] ", table.stdout)
    assert not set("\x1b\x9b\x07") & set(table.stdout)


def test_json_has_no_infinite_number_and_loses_no_column(warehouse: Path) -> None:
    as_json = ("--warehouse", warehouse, "--format", "json")
    numbers = (
        "select 'nan'::double as a, ['-inf'::double, 1] as b, 1.5 as c, {'e': 'nan'::double} as d"
    )
    rows = accountpulse("query", numbers, *as_json)
    twice = accountpulse("query", "select 1 as a, 2 as a", *as_json)

    assert json.loads(rows.stdout) == [{"a": None, "b": [None, 1], "c": 1.5, "d": {"e": None}}]
    assert (twice.returncode, twice.stdout) == (2, "")
    assert twice.stderr == "query: two columns have one name, which JSON cannot tell apart\n"


def test_a_query_finds_marts_by_their_bare_name_and_can_be_cut_short(warehouse: Path) -> None:
    sql = "select account_id from accounts order by account_id"
    done = accountpulse("query", sql, "--warehouse", warehouse, "--limit", "2", "--format", "csv")

    wanted = ask(warehouse, "select account_id from marts.accounts order by account_id limit 2")
    assert done.stdout.split() == ["account_id", *(row[0] for row in wanted)]


@pytest.mark.parametrize(
    "sql",
    [
        "delete from accounts",
        "create table marts.mine as select 1",
        "copy accounts to '{folder}/accounts.csv'",
        "attach '{folder}/other.duckdb'",
        "select * from no_such_table",
        "select",
        "",
        ";",
        "/* nothing */",
        "select interval 2000000000 days",
    ],
)
def test_a_query_that_writes_or_is_wrong_is_refused(
    sql: str, warehouse: Path, tmp_path: Path
) -> None:
    done = accountpulse("query", sql.format(folder=tmp_path), "--warehouse", warehouse)

    assert done.returncode == 2
    assert done.stderr.startswith("query: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_whoever_reads_the_answer_may_leave_early(form: str, warehouse: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ask_for = ("query", "from range(100000)", "--warehouse", warehouse, "--format", form)
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *map(str, ask_for)],
        env=environment(),
        cwd=CHECKOUT,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_who_only_reads_needs_neither_raw_files_nor_dials(warehouse: Path, tmp_path: Path) -> None:
    gone = {"ACCOUNTPULSE_RAW": "/no/such/raw", "ACCOUNTPULSE_SEEDS": "/no/such/seeds"}
    for command in (
        ("query", "select 1", "--warehouse", warehouse),
        ("backtest", "--warehouse", warehouse),
        ("simulate", "--accounts", "1", "--days", "7", "--out", tmp_path / "made"),
    ):
        assert accountpulse(*command, **gone).returncode == 0


def test_a_query_before_anything_is_published_says_so(tmp_path: Path) -> None:
    done = accountpulse("query", "select 1", "--warehouse", tmp_path)

    assert done.returncode == 1
    assert done.stderr == f"nothing is published in {tmp_path} yet: accountpulse run\n"


def test_the_demo_keeps_out_of_folders_that_are_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "tracks.csv").write_text("the customer's own")

    done = accountpulse("demo", "--folder", tmp_path)

    assert done.returncode == 2
    assert "give the demo a folder of its own" in done.stderr
    assert (tmp_path / "raw" / "tracks.csv").read_text() == "the customer's own"


def test_a_demo_that_cannot_be_made_leaves_the_one_before_and_one_at_work_is_waited_for(
    warehouse: Path, tmp_path: Path
) -> None:
    (tmp_path / ".accountpulse-demo").touch()
    shutil.copytree(warehouse, tmp_path / "warehouse", symlinks=True)
    (records,) = (tmp_path / "warehouse" / ".dagster").glob("event_log.db")
    shown = records.stat().st_ino
    smallest = ("--folder", tmp_path, "--accounts", "5", "--events", "2000")

    done = accountpulse("demo", *smallest, "--days", "9999")

    assert done.returncode == 2
    assert "days must be 7 to 3,650, not 9,999" in done.stderr
    assert current(tmp_path / "warehouse") == current(warehouse)
    with (
        started("demo", *smallest, "--days", "7", until="raw data of") as first,
        started("demo", *smallest, "--days", "8", until="waiting for it") as second,
    ):
        assert (first.wait(), second.wait()) == (0, 0)
    days = "select count(distinct date) <= 8 from marts.account_engagement_daily"
    assert ask(tmp_path / "warehouse", days) == [(True,)]
    assert records.stat().st_ino == shown, "Dagster's pages have it open"

    a_file = accountpulse("demo", "--folder", __file__)
    assert a_file.returncode == 2
    assert a_file.stderr == f"{__file__}: Not a directory\n"


def test_tables_in_capitals_are_found_and_accounts_are_there_before_the_first_event(
    tmp_path: Path,
) -> None:
    (tmp_path / "none").mkdir()
    with duckdb.connect(str(tmp_path / "work.duckdb")) as connection:
        connection.execute(
            "create schema raw; create table raw.TRACKS as select '1' as ID, 'Video Viewed' as"
            " EVENT, '2026-02-20 02:00:00 +02:00' as Timestamp, 'u' as USER_ID,"
            " 'a' as CONTEXT_GROUP_ID;"
            " create table raw.GROUPS as select 'g' as id, 'a' as group_id, 'u' as user_id,"
            " timestamp '2026-01-10' as timestamp, -5 as seats"
        )

    done = accountpulse(
        "run", "--raw", tmp_path / "none", "--warehouse", tmp_path, "--as-of", "2026-01-31"
    )

    assert done.returncode == 0, done.stderr
    seats = "select account_id, user_count, seat_count from marts.accounts"
    assert ask(tmp_path, seats) == [("a", 1, None)]
    assert ask(tmp_path, "select waiting_count from ops.data_quality") == [(1,)]


def test_help_names_every_command_of_the_contract() -> None:
    told = accountpulse("--help").stdout

    assert all(f"  {name} " in told for name in ("check", "demo", "query", "run", "simulate"))


KINDS = {
    "_id": "{type} = 'VARCHAR'",
    "_at": "{type} = 'TIMESTAMP'",
    "_date": "{type} = 'DATE'",
    "_count": "{name} is null or {type} in ('BIGINT', 'INTEGER') and {name} >= 0",
    "_points": "{type} like 'DECIMAL%'",
    "_score": "{name} is null or {name} between 0 and 100",
    "_rate": "{name} is null or {name} between 0 and 1",
    "_share": "{name} is null or {name} between 0 and 1",
    "_days": "{type} in ('BIGINT', 'INTEGER')",
}
"""What the suffix of a column promises, as SQL; `is_` and `has_` are never null."""


def test_columns_of_marts_are_what_their_names_say(warehouse: Path) -> None:
    path = warehouse / "published" / "current" / "accountpulse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() "
            "where schema_name = 'marts'"
        ).fetchall()
        promised: dict[str, list[str]] = {}
        for table, name, kind in columns:
            told = [text for suffix, text in KINDS.items() if name.endswith(suffix)]
            if name.startswith(("is_", "has_")):
                told = ["{type} = 'BOOLEAN' and {name} is not null"]
            if name == "effective_user_count":  # 1 / sum of squared shares
                told = ["{name} is null or {name} >= 1"]
            for text in told:
                promised.setdefault(table, []).append(text.format(name=name, type=f"'{kind}'"))
        for table, promises in promised.items():
            kept = ", ".join(f"coalesce(bool_and({promise}), true)" for promise in promises)
            (row,) = connection.execute(f"select {kept} from marts.{table}").fetchall()
            broken = [told for told, ok in zip(promises, row, strict=True) if not ok]
            assert broken == [], table
    assert sum(map(len, promised.values())) > 150
