"""dbt in a process of its own, which works beside the one that runs Dagster.

Both are Python from end to end: in one process they take turns under its one lock while a core has
nothing to do. This one loads dbt while the other loads Dagster, and tells of each node as dbt is
done with it.
"""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import util
from multiprocessing.connection import Connection
from pathlib import Path

from orchestration.errors import RunError
from orchestration.project import Settings


@dataclass(frozen=True)
class Invocation:
    """What dbt is asked to do.

    Args:
        settings: the warehouse.
        manifest: folder of the parsed project.
        arguments: the command line.
    """

    settings: Settings
    manifest: Path
    arguments: list[str]


@dataclass(frozen=True)
class FinishedNode:
    """One node that dbt is done with.

    Args:
        unique_id: which.
        status: how it ended, in dbt's words.
        seconds: that it took.
        failures: rows that a test found.
        row_count: rows of a table, or of a view that is published.
        to_see: command that shows what a test found.
    """

    unique_id: str
    status: str
    seconds: float
    failures: int | None
    row_count: int | None
    to_see: str


@dataclass(frozen=True)
class Outcome:
    """That dbt is done with everything.

    Args:
        problems: what failed, a line each.
        error: what kept dbt from its work.
    """

    problems: list[str]
    error: Exception | None = None


class _Process:
    """The process and the way to it."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # A daemon is ended with the process that started it, which may be a child process itself.
        self._process = context.Process(
            target=_work, args=(theirs, settings), name="dbt", daemon=True
        )
        self._process.start()
        theirs.close()
        # By SIGTERM daemons are ended; where it is ignored, child processes ignore it, too.
        util.Finalize(None, self.stop, exitpriority=0)

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def stop(self) -> int | None:
        """Ends it at once, whatever it does: DuckDB keeps what was committed, and nothing else."""
        self._process.kill()
        self._process.join()
        self.connection.close()
        return self._process.exitcode


_process: _Process | None = None


def start(settings: Settings) -> _Process:
    """Starts the process, unless it is there, so that dbt is ready by the time it is needed."""
    global _process  # noqa: PLW0603 - one for all runs of this process
    if not _process or not _process.is_alive():
        os.environ |= settings.environment
        _process = _Process(settings)
    return _process


def invoke(asked: Invocation) -> Generator[FinishedNode, None, None]:
    """Runs a dbt command and yields its nodes as they are done; who closes this stops dbt.

    Raises:
        RunError: what failed, and how to look at it.
        duckdb.Error: the work file could not be opened.
        OSError: another file could not be.
    """
    process = start(asked.settings)
    told: FinishedNode | Outcome | None = None
    try:
        process.connection.send(asked)
        while not isinstance(told := process.connection.recv(), Outcome):
            yield told
    except (EOFError, OSError) as error:
        raise RunError(
            f"dbt ended unexpectedly (exit code {process.stop()}); if memory was short:"
            " --memory-limit"
        ) from error
    finally:
        if not isinstance(told, Outcome):
            process.stop()
    if told.error:
        raise told.error
    if told.problems:
        raise RunError("\n".join(told.problems))


def _work(connection: Connection, settings: Settings) -> None:
    """What the process does: one invocation after the other, as long as somebody may ask."""
    # Ctrl-C comes to both; whoever asked says what is to become of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # until there is work: what is imported stays
    from orchestration import dbt_worker  # noqa: PLC0415 - dbt is not for the process that asks

    with suppress(EOFError, ConnectionError):  # nobody is left to ask
        dbt_worker.serve(connection, settings)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)
