"""What the process of dbt does: it invokes dbt with a manifest made beforehand, and tells of it."""

import gc
import multiprocessing
import os
import shlex
import threading
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
from dbt import mp_context
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import SeedNode
from dbt.events.types import NodeFinished
from dbt.parser.manifest import extended_mashumuro_decoder
from dbt_common.events.base_types import BaseEvent, EventLevel, EventMsg
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager

from orchestration.dbt_process import FinishedNode, Invocation, Outcome
from orchestration.project import (
    DAMAGED,
    RESTORED,
    Settings,
    damaged,
    dbt_arguments,
    parsed_project,
)

WRONG = {EventLevel.WARN, EventLevel.ERROR}


def serve(connection: Connection, settings: Settings) -> None:
    """Invokes dbt as often as asked, with a manifest restored before it is asked for."""
    # dbt's locks are for this process alone; with names they would outlive it when it is killed.
    multiprocessing.set_start_method("fork", force=True)
    mp_context._MP_CONTEXT = multiprocessing.get_context("fork")  # type: ignore[assignment] # noqa: SLF001
    known = parsed_project(settings)
    _warm_up(settings, _restored(known))
    while True:
        ready = _restored(known)
        # All that is there by now stays; only what comes is looked through for garbage.
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()
        asked = connection.recv()
        if asked.manifest != known:
            known = asked.manifest
            ready = _restored(known)
        try:
            outcome = _invoked(connection, asked, ready)
        except (duckdb.Error, OSError) as error:
            outcome = Outcome([], error)
        connection.send(outcome)


class _Quiet(EventManager):
    """Tells of nodes that are done and of what goes wrong, not of 4,000 other things per run."""

    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,  # noqa: ANN401 - dbt's own signature
        force_warn_or_error_handling: bool = False,
    ) -> None:
        if isinstance(e, NodeFinished) or (level or e.level_tag()) in WRONG:
            super().fire_event(e, level, node, force_warn_or_error_handling)


def _restored(folder: Path) -> Manifest:
    parsed = (folder / RESTORED).read_bytes()
    restored = Manifest.from_msgpack(parsed, decoder=extended_mashumuro_decoder)
    restored.build_flat_graph()  # type: ignore[no-untyped-call]
    return restored


def _warm_up(settings: Settings, parsed: Manifest) -> None:
    """Invokes dbt on no node, without the warehouse: what it loads at first use is then there."""
    ctx_set_event_manager(_Quiet())
    nothing = ["build", *dbt_arguments(settings), "--no-write-json", "--select", "no_such_node"]
    dbtRunner(manifest=parsed).invoke(nothing)


def _invoked(connection: Connection, asked: Invocation, parsed: Manifest) -> Outcome:
    os.environ |= asked.settings.environment
    for node in parsed.nodes.values():
        if isinstance(node, SeedNode):
            node.original_file_path = str(asked.settings.seeds / f"{node.name}.csv")
    ctx_set_event_manager(_Quiet())
    # Open while dbt works: counts rows beside it, in the same DuckDB instance.
    with closing(asked.settings.connect()) as database:
        listener = _Listener(connection, database, parsed, asked.settings)
        result = dbtRunner(manifest=parsed, callbacks=[listener.listen]).invoke(asked.arguments)
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    return Outcome(_problems(result, asked.settings))


class _Listener:
    """Tells of nodes as dbt's threads are done with them."""

    def __init__(
        self,
        connection: Connection,
        database: duckdb.DuckDBPyConnection,
        parsed: Manifest,
        settings: Settings,
    ) -> None:
        self._connection = connection
        self._database = database
        self._nodes = parsed.nodes
        self._settings = settings
        self._lock = threading.Lock()

    def listen(self, event: EventMsg) -> None:
        if event.info.name != "NodeFinished":
            return
        told, result = event.data.node_info, event.data.run_result
        with self._lock:
            self._connection.send(
                FinishedNode(
                    unique_id=told.unique_id,
                    status=told.node_status,
                    seconds=result.execution_time,
                    failures=result.num_failures,
                    row_count=self._row_count(told.unique_id, told.node_status),
                    to_see=_to_see(self._nodes[told.unique_id], self._settings)
                    if result.num_failures
                    else "",
                )
            )

    def _row_count(self, unique_id: str, status: str) -> int | None:
        node: Any = self._nodes[unique_id]
        is_table = node.resource_type != "test" and node.config.materialized != "view"
        if status != "success" or not (is_table or node.schema == "marts"):
            return None
        ((count,),) = self._database.execute(
            f"select count(*) from {node.relation_name}"
        ).fetchall()
        return int(count)


def _to_see(test: Any, settings: Settings) -> str:  # noqa: ANN401 - a node of dbt's
    """The command that shows the rows that a test found."""
    query = Path(test.compiled_path).absolute()
    return (
        f"accountpulse query --warehouse {shlex.quote(str(settings.warehouse))} --work"
        f' -- "$(cat {shlex.quote(str(query))})"'
    )


def _problems(result: dbtRunnerResult, settings: Settings) -> list[str]:
    """What failed, and how to look at it."""
    if result.success:
        return []
    if result.exception:
        return [f"dbt stopped: {result.exception}"]
    problems = []
    for outcome in getattr(result.result, "results", []):
        node = outcome.node
        if outcome.status == "fail":
            found = f"check {node.name} failed with {outcome.failures} rows"
            problems.append(f"{found}; to see them: {_to_see(node, settings)}")
        elif outcome.status in {"error", "runtime error"}:
            what = str(outcome.message).split("\n  > in macro")[0].rstrip()
            if DAMAGED.search(what):
                return [damaged(settings.work_db, what)]
            if "Out of Memory Error" in what:
                more = "give it some with --memory-limit or ACCOUNTPULSE_MEMORY_LIMIT"
                limit = settings.memory_limit
                return [f"{node.resource_type} {node.name} needs more memory than {limit}: {more}"]
            problems.append(f"{node.resource_type} {node.name} failed: {what}")
    return problems or ["dbt stopped"]
