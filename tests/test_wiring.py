"""The wiring, pinned: which assets there are, what stands on what, what runs when."""

import errno
import fcntl
import importlib.metadata
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import duckdb
import pytest
from dagster._core.execution.backfill import PartitionBackfill
from dagster_dbt import dbt_assets

from orchestration import dbt_process, dbt_specs, project
from orchestration.errors import InputError, RunError
from orchestration.lock import writer_lock
from orchestration.project import CHECKOUT, Settings

AS_OF = "2026-03-01"
RAW = {"tracks", "identifies", "groups"}
REFERENCE = {
    "activation_steps",
    "engagement_weights",
    "exclusions",
    "flag_rules",
    "score_models",
    "tracked_events",
}
SIGNALS = {
    "account_churn_risk",
    "account_flags",
    "account_score_trends",
    "flag_history",
    "flag_performance",
    "risk_ranking_performance",
    "user_flags",
    "user_score_trends",
}
MARTS = SIGNALS | {
    "account_activation",
    "account_activation_daily",
    "account_activation_steps",
    "account_engagement",
    "account_engagement_daily",
    "account_engagement_drivers",
    "account_feature_usage",
    "account_health",
    "account_user_steps",
    "accounts",
    "event_usage_daily",
    "step_adoption",
    "user_accounts",
    "user_activation",
    "user_activation_steps",
    "user_engagement",
    "user_engagement_daily",
    "users",
}
OPS = {"data_quality", "deliveries", "gap_days", "quarantined_events", "unmapped_events"}
STAGING = {"stg_groups", "stg_identifies", "stg_tracks"}


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """The definitions, for a warehouse that is not there yet."""
    with pytest.MonkeyPatch.context() as patch:
        warehouse = tmp_path_factory.mktemp("wiring") / "warehouse"
        patch.setenv("ACCOUNTPULSE_WAREHOUSE", str(warehouse))
        from orchestration.definitions import defs as loaded  # noqa: PLC0415

        assert not list(warehouse.glob("*.duckdb"))
        return loaded


@pytest.fixture(scope="module")
def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def named(schema: str, names: set[str]) -> set[str]:
    return {f"{schema}/{name}" for name in names}


@pytest.mark.parametrize("package", ["duckdb", "numpy", "polars", "scikit-learn", "scipy"])
def test_another_version_of_what_computes_is_other_code(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, before = importlib.metadata.version, project.code_fingerprint()
    monkeypatch.setattr(
        "importlib.metadata.version",
        lambda name: "0.0.1" if name == package else version(name),
    )

    assert project.code_fingerprint() != before


def test_the_assets_are_these(specs: dict[str, dg.AssetSpec]) -> None:
    intermediate = {key for key in specs if key.startswith("intermediate/int_")}
    assert set(specs) - intermediate == {
        "dials",
        "published_marts",
        *named("raw", RAW),
        *named("reference", REFERENCE),
        *named("staging", STAGING),
        *named("marts", MARTS),
        *named("ops", OPS),
    }


def test_every_asset_has_a_group_an_owner_and_a_description(
    specs: dict[str, dg.AssetSpec],
) -> None:
    assert {spec.group_name for spec in specs.values()} == {
        "activation",
        "core",
        "dials",
        "engagement",
        "ops",
        "publication",
        "raw",
        "signals",
    }
    for spec in specs.values():
        assert spec.owners == ["team:product-analytics"], spec.key
        assert spec.description, spec.key
        assert spec.kinds, spec.key


def test_what_people_read_says_its_columns_before_it_is_made(
    specs: dict[str, dg.AssetSpec],
) -> None:
    read = [*named("marts", MARTS), *named("ops", OPS), *named("reference", REFERENCE)]
    for key in [*read, *named("raw", RAW), "published_marts"]:
        assert specs[key].metadata["dagster/column_schema"], key
    for key in read:
        schema = specs[key].metadata["dagster/column_schema"]
        for column in schema.columns:
            assert column.description, f"{key}.{column.name}"


def upstream(specs: dict[str, dg.AssetSpec], key: str) -> set[str]:
    return {dep.asset_key.to_user_string() for dep in specs[key].deps}


def test_raw_rows_go_from_landing_through_staging_to_the_publication(
    specs: dict[str, dg.AssetSpec],
) -> None:
    for table in RAW:
        assert upstream(specs, f"raw/{table}") == {"dials"}
        assert upstream(specs, f"staging/stg_{table}") == {f"raw/{table}"}
    read_by_health = {"account_churn_risk", "account_flags", "account_score_trends"}
    assert named("marts", read_by_health) <= upstream(specs, "marts/account_health")
    assert upstream(specs, "published_marts") == (
        named("marts", MARTS) | named("ops", OPS) | named("reference", REFERENCE)
    )


def test_every_mart_has_a_check_that_stops_the_run(defs: dg.Definitions) -> None:
    checked = {
        check.asset_key.to_user_string()
        for definition in defs.resolve_asset_graph().assets_defs
        for check in definition.check_specs
        if check.blocking
    }
    assert named("marts", MARTS) <= checked


def test_every_check_says_what_it_looks_for(defs: dg.Definitions) -> None:
    said = {
        f"{check.asset_key.to_user_string()}:{check.name}": check.description
        for definition in defs.resolve_asset_graph().assets_defs
        for check in definition.check_specs
    }

    assert all(said.values()), [check for check, text in said.items() if not text]
    assert said["ops/data_quality:few_events_have_bad_properties"] == (
        "More than one event in a hundred has properties that are not JSON."
    )
    assert said["marts/users:key_users_user_id"] == "Never null, and one row for each: `user_id`"
    assert said["marts/event_usage_daily:usage_rows_have_events"] == (
        "True for every row: `event_count > 0`"
    )


def test_only_the_publication_has_a_calendar_and_a_range_of_it_is_one_run(
    specs: dict[str, dg.AssetSpec], defs: dg.Definitions
) -> None:
    assert [key for key, spec in specs.items() if spec.partitions_def] == ["published_marts"]
    calendar = specs["published_marts"].partitions_def
    assert isinstance(calendar, dg.DailyPartitionsDefinition)
    assert calendar.start.isoformat() == "2000-01-01T00:00:00+00:00"
    assert calendar.timezone == "UTC"
    publication = defs.resolve_assets_def(dg.AssetKey("published_marts"))
    assert publication.backfill_policy == dg.BackfillPolicy.single_run()


def test_the_daily_job_is_everything_in_one_process(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("daily_refresh")

    assert job.asset_layer.executable_asset_keys == {
        spec.key for spec in defs.resolve_all_asset_specs()
    }
    assert job.executor_def.name == "in_process"
    assert job.tags["dagster/max_retries"] == "1"
    assert job.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_the_schedule_asks_every_morning_for_the_day_before(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("every_morning")

    assert schedule.cron_schedule == "0 6 * * *"
    assert schedule.execution_timezone == "UTC"
    moment = dg.build_schedule_context(
        scheduled_execution_time=datetime.fromisoformat("2026-03-02T06:00:00+00:00")
    )
    requests = schedule.evaluate_tick(moment).run_requests or []
    assert [request.partition_key for request in requests] == ["2026-03-01"]


@pytest.mark.parametrize(
    ("tags", "as_of", "from_date"),
    [
        ({"dagster/partition": "2026-03-01"}, date(2026, 3, 1), None),
        (
            {
                "dagster/asset_partition_range_start": "2026-02-01",
                "dagster/asset_partition_range_end": "2026-02-28",
            },
            date(2026, 2, 28),
            date(2026, 2, 1),
        ),
        (
            {"dagster/partition": "2026-03-01", "accountpulse/from_date": "2026-01-15"},
            date(2026, 3, 1),
            date(2026, 1, 15),
        ),
        ({"dagster/backfill": "ours"}, date(2026, 1, 12), date(2026, 1, 10)),
    ],
)
def test_a_run_means_the_newest_day_it_was_asked_for(
    tags: dict[str, str], as_of: date, from_date: date | None, defs: dg.Definitions
) -> None:
    from orchestration.defs.resources import Request  # noqa: PLC0415 - after the definitions

    graph = defs.resolve_asset_graph()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id="ours",
                asset_graph=graph,
                partition_names=["2026-01-10", "2026-01-11", "2026-01-12"],
                asset_selection=list(graph.materializable_asset_keys),
                backfill_timestamp=datetime(2026, 3, 2, tzinfo=UTC).timestamp(),
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
        context = SimpleNamespace(run=SimpleNamespace(tags=tags), instance=instance)
        request = Request.of(cast("dg.AssetExecutionContext", context), Settings.resolve())

    assert (request.as_of, request.from_date) == (as_of, from_date)


def test_a_run_without_a_partition_means_yesterday(defs: dg.Definitions) -> None:
    from orchestration.defs.resources import Request  # noqa: PLC0415 - after the definitions

    assert defs
    settings = Settings.resolve()
    context = SimpleNamespace(run=SimpleNamespace(tags={}), instance=None)
    request = Request.of(cast("dg.AssetExecutionContext", context), settings)
    assert request.as_of == settings.yesterday()


def test_flags_go_before_the_environment_and_that_before_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("ACCOUNTPULSE_RAW", "ACCOUNTPULSE_WAREHOUSE", "ACCOUNTPULSE_SEEDS"):
        monkeypatch.delenv(variable, raising=False)
    for name in ("flag", "environment"):
        (tmp_path / name).mkdir()
    plain = Settings.resolve()
    assert plain.warehouse == CHECKOUT / "data" / "warehouse"
    assert plain.seeds == CHECKOUT / "seeds"

    monkeypatch.setenv("ACCOUNTPULSE_RAW", str(tmp_path / "environment"))
    monkeypatch.setenv("ACCOUNTPULSE_WAREHOUSE", str(tmp_path / "environment"))
    told = Settings.resolve()
    assert (told.raw, told.warehouse) == (tmp_path / "environment", tmp_path / "environment")
    assert Settings.resolve(raw=tmp_path / "flag").raw == tmp_path / "flag"


def test_paths_are_absolute_wherever_the_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.resolve(warehouse="here")

    assert settings.work_db == tmp_path / "here" / "work.duckdb"
    assert settings.environment["ACCOUNTPULSE_WORK_DB"] == str(settings.work_db)


@pytest.mark.parametrize(
    ("limit", "wanted"), [("4000000000\n", 4_000_000_000), ("max\n", None), (None, None)]
)
def test_a_container_has_the_memory_it_is_given(
    limit: str | None, wanted: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "memory.max"
    if limit:
        told.write_text(limit)
    monkeypatch.setattr(project, "CONTAINER_MEMORY", [told])
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert project.memory_bytes() == (wanted or whole)


def test_an_unknown_time_zone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNTPULSE_REPORTING_TIMEZONE", "Mars/Olympus")
    with pytest.raises(InputError, match="reporting time zone 'Mars/Olympus' is not known"):
        Settings.resolve()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the dbt project that stands for the project."""
    leave = shutil.ignore_patterns("target", "logs")
    copy = Path(shutil.copytree(project.DBT_PROJECT, tmp_path / "dbt_project", ignore=leave))
    monkeypatch.setattr(project, "DBT_PROJECT", copy)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return copy


def test_a_manifest_is_made_once_for_all_warehouses_and_again_when_the_project_changes(
    tmp_path: Path, copied: Path
) -> None:
    settings = Settings.resolve(warehouse=tmp_path / "warehouse")

    first = project.parsed_project(settings)
    made = first.stat().st_mtime_ns
    dials = shutil.copytree(settings.seeds, tmp_path / "dials")
    others = Settings.resolve(warehouse=tmp_path / "another", seeds=dials)
    assert project.parsed_project(others) == first
    assert first.stat().st_mtime_ns == made

    older = copied / "target" / "manifest-older"
    older.mkdir()
    os.utime(older, (0, 0))
    (copied / "models" / "staging" / "stg_more.sql").write_text("select 1 as one")
    second = project.parsed_project(settings)
    assert second != first
    assert "stg_more" in (second / "manifest.json").read_text()
    assert set((copied / "target").iterdir()) == {first, second}  # a run may be at work with it

    (copied / "models" / "staging" / "stg_more.sql").write_text("select {{ nonsense")
    with pytest.raises(RunError, match="the dbt project does not parse"):
        project.parsed_project(settings)


def test_where_a_checkout_may_not_be_written_its_manifest_is_in_the_warehouse(
    tmp_path: Path, copied: Path
) -> None:
    (copied / "target").write_text("no folder can be made here")
    settings = Settings.resolve(warehouse=tmp_path / "warehouse")

    made = project.parsed_project(settings)

    assert made.parent == settings.dbt_target
    assert project.parsed_project(settings) == made


def test_who_needs_the_project_while_it_is_parsed_waits_for_it(
    tmp_path: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.resolve(warehouse=tmp_path / "warehouse")
    begun: list[object] = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: begun.append(a) or run(*a, **k))

    with ThreadPoolExecutor(2) as pool:
        made = set(pool.map(project.parsed_project, [settings, settings]))

    assert list((copied / "target").iterdir()) == [*made]
    assert len(begun) == 1


def test_what_parses_the_project_leaves_nothing_in_the_process_that_asks(
    tmp_path: Path, copied: Path
) -> None:
    code = f"""
import sys
from pathlib import Path
from orchestration import project
project.DBT_PROJECT = Path({str(copied)!r})
project.parsed_project(project.Settings.resolve(warehouse={str(tmp_path / "warehouse")!r}))
sys.exit("dbt" in sys.modules)
"""
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )

    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert [path.name.partition("-")[0] for path in (copied / "target").iterdir()] == ["manifest"]


def fields(spec: dg.AssetSpec | dg.AssetCheckSpec) -> dict[str, Any]:
    """Return what a spec says; other assets by their keys, no objects of dagster-dbt.

    Nor what a check looks for, which dagster-dbt does not say.
    """
    said = spec._asdict()
    if isinstance(spec, dg.AssetCheckSpec):
        del said["description"]
    for name in {"deps", "additional_deps"} & said.keys():
        said[name] = {dep.asset_key for dep in said[name]}
    objects = ("dagster_dbt/manifest", "dagster_dbt/dagster_dbt_translator")
    return said | {"metadata": {k: v for k, v in said["metadata"].items() if k not in objects}}


@pytest.mark.parametrize("name", dbt_specs.SELECTIONS)
def test_what_is_kept_for_dagster_is_all_that_dagster_dbt_says(name: str) -> None:
    parsed = project.parsed_project(Settings.resolve())
    decorate = dbt_assets(
        manifest=parsed / "manifest.json", name=name, **dbt_specs.SELECTIONS[name]
    )
    said = decorate(lambda: None)
    kept = dbt_specs.read(parsed, name)

    for these, those in ((kept["specs"], said.specs), (kept["check_specs"], said.check_specs)):
        assert {spec.key: fields(spec) for spec in these} == {s.key: fields(s) for s in those}


def test_the_process_that_runs_dagster_does_not_load_dbt() -> None:
    code = "import sys, orchestration.definitions; sys.exit('dbt' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0


def test_an_earlier_partition_does_not_turn_the_warehouse_back(
    defs: dg.Definitions, tmp_path: Path
) -> None:
    from orchestration.defs.resources import Request  # noqa: PLC0415 - after the definitions

    assert defs
    settings = Settings.resolve(warehouse=tmp_path)
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "current").symlink_to("run-00007-2026-03-01")

    def asked(**tags: str) -> Request:
        told = {f"dagster/{name}": day for name, day in tags.items()}
        context = SimpleNamespace(run=SimpleNamespace(tags=told), instance=None)
        return Request.of(cast("dg.AssetExecutionContext", context), settings)

    why = f"as of 2026-02-28: {tmp_path} describes 2026-03-01 already"
    with pytest.raises(InputError, match=why):
        asked(partition="2026-02-28")
    with pytest.raises(InputError, match=why):
        asked(asset_partition_range_start="2026-02-01", asset_partition_range_end="2026-02-28")
    assert asked(partition="2026-03-01").as_of == date(2026, 3, 1)
    assert asked(partition="2026-03-02").as_of == date(2026, 3, 2)
    restating = asked(asset_partition_range_start="2026-02-01", asset_partition_range_end=AS_OF)
    assert (restating.as_of, restating.from_date) == (date(2026, 3, 1), date(2026, 2, 1))


def test_the_lock_of_a_writer_is_free_when_its_process_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "warehouse" / ".writer.lock"
    hold = (
        "import sys, time; from pathlib import Path; from orchestration.lock import writer_lock\n"
        "with writer_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(lock)], stdout=subprocess.PIPE, cwd=CHECKOUT
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        waits: list[str] = []

        def killed(told: str) -> None:
            waits.append(told)
            process.kill()

        with writer_lock(lock, killed), writer_lock(lock):  # a run inside a command that holds it
            assert process.wait() == -signal.SIGKILL
        (told,) = waits
        assert f"{lock.parent} is being written by process {process.pid} since 2" in told
        assert told.endswith("; waiting for it")


def test_a_lock_that_cannot_be_waited_for_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int, how: int) -> None:
        raise BlockingIOError if how & fcntl.LOCK_NB else OSError(errno.ENOLCK, "no locks left")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="no locks left"), writer_lock(tmp_path / ".writer.lock"):
        pytest.fail("went on without it")


def test_writers_queue_up_in_the_order_in_which_they_come(tmp_path: Path) -> None:
    lock, order = tmp_path / ".writer.lock", tmp_path / "order"
    wait = (
        "import sys; from pathlib import Path; from orchestration.lock import writer_lock\n"
        "with writer_lock(Path(sys.argv[1]), lambda _: print('waiting', flush=True)):\n"
        "    Path(sys.argv[2]).open('a').write(sys.argv[3])"
    )
    waiting = []
    with writer_lock(lock):
        for name in "abcdef":
            process = subprocess.Popen(
                [sys.executable, "-c", wait, str(lock), str(order), name],
                stdout=subprocess.PIPE,
                cwd=CHECKOUT,
            )
            assert process.stdout
            assert process.stdout.readline() == b"waiting\n"
            asleep(process.pid)
            waiting.append(process)
        assert not order.exists()
    for process in waiting:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert order.read_text() == "abcdef"


def asleep(pid: int) -> None:
    """Returns when a process sleeps in the kernel, waiting for a lock."""
    locks, until = Path("/proc/locks"), time.monotonic() + 30
    while not locks.exists() or f"-> FLOCK  ADVISORY  WRITE {pid} " not in locks.read_text():
        if not locks.exists():  # not Linux: give it time instead
            time.sleep(1)
            return
        assert time.monotonic() < until
        time.sleep(0.01)


def _start_dbt(settings: Settings, on_sigterm: signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, on_sigterm)
    dbt_process.start(settings)


@pytest.mark.parametrize("on_sigterm", [signal.SIG_DFL, signal.SIG_IGN])
def test_the_process_of_dbt_ends_with_a_child_process_that_started_it(
    tmp_path: Path, on_sigterm: signal.Handlers
) -> None:
    """Runs that Dagster's pages start are child processes of its server.

    What a process ignores, its child processes ignore, too.
    """
    settings = Settings.resolve(tmp_path, tmp_path)
    run = multiprocessing.get_context("spawn").Process(
        target=_start_dbt, args=[settings, on_sigterm]
    )
    run.start()
    run.join(60)
    ended = run.exitcode
    run.kill()

    assert ended == 0


def test_what_keeps_dbt_from_its_work_is_raised_where_it_was_asked_to(tmp_path: Path) -> None:
    settings = Settings.resolve(tmp_path, tmp_path)
    asked = dbt_process.Invocation(settings, project.parsed_project(settings), ["build"])

    with closing(settings.connect()), pytest.raises(duckdb.IOException, match="lock"):
        list(dbt_process.invoke(asked))
