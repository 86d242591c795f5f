"""A run: the daily job, executed in this process against the warehouse's own Dagster instance.

The same job that the schedule launches and the UI shows; here it is only started and listened to.
"""

import gc
import logging
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from orchestration.defs.resources import (
    FROM_DATE_TAG,
    FULL_REFRESH_TAG,
    INPUT,
    RESTATE_DIALS_TAG,
    WAREHOUSE_TAG,
)
from orchestration.errors import InputError, RunError
from orchestration.lock import writer_lock
from orchestration.project import Settings

JOB = "daily_refresh"
STARTED_BY = {"accountpulse/started_by": "command"}

INSTANCE: dict[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "event_log_storage": {
        "module": "orchestration.event_log",
        "class": "PooledEventLogStorage",
        "config": {"base_dir": {"env": "DAGSTER_HOME"}},
    },
    # Runs queue up: backfills one after the other. Beside them the writer lock keeps the order.
    "concurrency": {
        "runs": {"tag_concurrency_limits": [{"key": "dagster/backfill", "limit": 1}]},
    },
    "run_retries": {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False},
    "run_monitoring": {"enabled": True, "start_timeout_seconds": 600},
}

IN_A_HOME = ("dagster.yaml", "event_log.db", "history", "schedules", "storage")
"""What shows that Dagster was in a folder before."""

RECORDS = ("event_log.db", "history/**/*.db", "schedules/**/*.db")
"""Dagster's own files of SQLite in its home."""


@dataclass(frozen=True)
class Progress:
    """Something that happened in a run.

    Args:
        kind: `step` begun, `asset` made, `check` done, or a `retry`.
        name: of the step, asset or check.
        row_count: rows of the asset; None for a view.
        seconds: that it took, where known.
        passed: what a check found.
        warned: a check that failed, but must not stop the run.
        description: what a check looks for.
    """

    kind: str
    name: str
    row_count: int | None = None
    seconds: float | None = None
    passed: bool = True
    warned: bool = False
    description: str | None = None


Listener = Callable[[Progress], None]

_listeners: list[Listener] = []


def _listening_logger(_context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("accountpulse.listened")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers = [_Handler()]
    return logger


listened = dg.LoggerDefinition(
    _listening_logger,
    description="Hands what happens in a run to whoever listens in this process.",
)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        progress = _progress(event) if event else None
        if progress:
            for listener in _listeners:
                listener(progress)


def _progress(event: Any) -> Progress | None:  # noqa: ANN401 - Dagster does not export the type
    match event.event_type_value:
        case "STEP_START":
            return Progress("step", event.step_key)
        case "STEP_UP_FOR_RETRY":
            return Progress("retry", event.step_key)
        case "ASSET_MATERIALIZATION":
            made = event.event_specific_data.materialization
            return Progress(
                "asset",
                ".".join(made.asset_key.path),
                row_count=_number(made.metadata.get("dagster/row_count")),
                seconds=_number(made.metadata.get("seconds")),
            )
        case "ASSET_CHECK_EVALUATION":
            check = event.event_specific_data
            warned = not check.passed and check.severity == dg.AssetCheckSeverity.WARN
            return Progress(
                "check",
                check.check_name,
                passed=check.passed,
                warned=warned,
                description=check.description,
            )
    return None


def _number(value: Any) -> Any:  # noqa: ANN401 - an integer or a float, as it was given
    return None if value is None else value.value


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The warehouse's Dagster instance, made on first use; `dagster dev` shows the same."""
    prepare_instance(settings)
    with dg.DagsterInstance.get() as instance:
        yield instance


def prepare_instance(settings: Settings) -> None:
    """Makes the instance, and its folder the home; with our settings, unless Dagster was there.

    One at a time, and anew where that was interrupted: Dagster mends neither.
    """
    home = settings.dagster_home
    os.environ["DAGSTER_HOME"] = str(home)
    made = home / ".made"
    if made.exists():
        return
    with writer_lock(home / ".making.lock"):
        if not any((home / name).exists() for name in IN_A_HOME):  # else records would be lost
            (home / "dagster.yaml").write_text(yaml.safe_dump(INSTANCE, sort_keys=False))
        events = home / "event_log.db"
        if events.exists() and not _has_tables(events, {"event_logs", "asset_keys"}):
            events.unlink()
        with dg.DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
            instance.all_asset_keys()
            instance.all_instigator_state()
        made.touch()


def _has_tables(path: Path, names: set[str]) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        there = connection.execute("select name from sqlite_master where type = 'table'")
        return names <= {name for (name,) in there.fetchall()}


def execute(
    settings: Settings,
    as_of: date,
    *,
    from_date: date | None = None,
    full_refresh: bool = False,
    restate_dials: bool = False,
    listener: Listener | None = None,
) -> str:
    """Runs the daily job for one as-of date.

    Args:
        settings: the warehouse and what fills it.
        as_of: the day that the marts are to describe.
        from_date: first day of the range to restate.
        full_refresh: everything is to be built anew.
        restate_dials: published days may be scored anew where changed dials say so.
        listener: told what happens, as it happens.

    Returns:
        The id of the Dagster run.

    Raises:
        RunError: the run failed; the message says what, where, and what to do.
    """
    os.environ |= settings.environment
    with (
        writer_lock(settings.lock_file),
        dagster_instance(settings) as instance,
        _noticed_interrupts() as was_interrupted,
    ):
        _close_dead_runs(instance, settings)
        # Only now: definitions read the settings from the environment, and parse the dbt project.
        from orchestration.definitions import defs  # noqa: PLC0415

        # All that is there by now stays; only what comes is looked through for garbage.
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()
        tags = {**STARTED_BY, WAREHOUSE_TAG: str(settings.warehouse.resolve())}
        if from_date:
            tags[FROM_DATE_TAG] = from_date.isoformat()
        if full_refresh:
            tags[FULL_REFRESH_TAG] = "true"
        if restate_dials:
            tags[RESTATE_DIALS_TAG] = "true"
        if listener:
            _listeners.append(listener)
        try:
            result = defs.resolve_job_def(JOB).execute_in_process(
                instance=instance,
                partition_key=as_of.isoformat(),
                tags=tags,
                run_config={"loggers": {"listened": {}}},
                raise_on_error=False,
            )
        finally:
            if listener:
                _listeners.remove(listener)
        if not result.success:
            if was_interrupted():
                raise KeyboardInterrupt
            _raise_for(result)
        return result.run_id


def forget_failed_runs(settings: Settings) -> None:
    """Removes what Dagster keeps of runs that failed: their messages may quote raw values.

    What is deleted in a file of SQLite stays readable in it until it is written anew.
    """
    with dagster_instance(settings) as instance:
        _close_dead_runs(instance, settings)
        ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
        for run in instance.get_runs(dg.RunsFilter(statuses=ended)):
            if _is_of_another(run, settings):
                continue
            instance.delete_run(run.run_id)
            shutil.rmtree(settings.dagster_home / "storage" / run.run_id, ignore_errors=True)
    home = settings.dagster_home
    for path in (file for files in RECORDS for file in home.glob(files)):
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")


def _is_of_another(run: dg.DagsterRun, settings: Settings) -> bool:
    """Whether a run is on another warehouse that shares an instance outside of both."""
    own = str(settings.warehouse.resolve())
    is_shared = not settings.dagster_home.resolve().is_relative_to(own)
    return is_shared and run.tags.get(WAREHOUSE_TAG) != own


@contextmanager
def _noticed_interrupts() -> Iterator[Callable[[], bool]]:
    """Yields whether Ctrl-C has come, whichever library swallowed it on its way."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def came() -> bool:
        try:
            return signal.SIGINT in os.read(reading, 64)
        except BlockingIOError:
            return False

    try:
        yield came
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def _raise_for(result: dg.ExecuteInProcessResult) -> None:
    """Says what went wrong, in the words of the step that failed.

    Raises:
        InputError: what was given is wrong.
        KeyboardInterrupt: it was stopped.
        RunError: anything else.
    """
    events = result.filter_events(lambda event: event.is_failure)
    steps = [event for event in events if event.is_step_failure]
    told = []
    for event in steps or events:
        data: Any = event.event_specific_data
        failure = getattr(data, "user_failure_data", None)
        error = getattr(data, "error", None)
        if error and error.cls_name == "DagsterExecutionInterruptedError":
            raise KeyboardInterrupt
        if failure and INPUT in failure.metadata:
            raise InputError(failure.description.splitlines())
        where = f"{event.step_key}: " if event.step_key else ""
        if failure and failure.description:
            told.append(where + failure.description)
        elif error:
            told.append(where + (error.cause or error).message.strip())
    raise RunError("\n".join(told) or f"run {result.run_id} failed")


def _close_dead_runs(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Says of runs whose process was killed that they failed.

    Whoever holds the writer lock knows that no other command works on this warehouse.
    """
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags=STARTED_BY)
    for run in instance.get_runs(started):
        if _is_of_another(run, settings):
            continue
        instance.report_run_failed(run, "the process that ran it was killed")


if __name__ == "__main__":  # for `make dev`: the folder that `DAGSTER_HOME` is to name
    try:
        found = Settings.resolve()
        prepare_instance(found)
    except (InputError, RunError) as error:
        sys.exit(str(error))
    print(found.dagster_home)
