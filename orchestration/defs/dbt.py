"""The dbt project as Dagster assets: seeds and models; their tests are asset checks.

dbt runs in this process with a manifest made beforehand; what it reports becomes materialisations
and check results while it works. Names, groups, owners and severities come from the dbt project.
"""

import ctypes
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import get_adapter_by_type
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import SeedNode
from dbt.events.types import NodeFinished
from dbt.parser.manifest import extended_mashumuro_decoder
from dbt_common.events.base_types import BaseEvent, EventLevel, EventMsg
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager

from orchestration import dial_changes, runs
from orchestration.defs.resources import Request, Warehouse, told_plainly
from orchestration.dials import load_dials
from orchestration.errors import RunError
from orchestration.project import Settings, code_fingerprint, dbt_arguments, manifest

MANIFEST = manifest(Settings.resolve())

AFTER_SIGNALS = ["tag:after_signals", "source:signals"]
"""Models that read what Python wrote, and the tests of those Python tables."""

WRONG = {EventLevel.WARN, EventLevel.ERROR}

UNFINISHED = " without what follows the signals"

UNIQUE_ID = "dagster_dbt/unique_id"

DbtEvents = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


@dbt_assets(manifest=MANIFEST.json, exclude=" ".join(AFTER_SIGNALS), name="dbt_models")
def dbt_models(context: dg.AssetExecutionContext, warehouse: Warehouse) -> DbtEvents:
    """Dials, staging, intermediate, marts and ops, in one dbt invocation."""
    with told_plainly():
        mark = warehouse.settings.tested_mark
        known = None if context.assets_def.is_subset else _known(context, warehouse.settings)
        mark.unlink(missing_ok=True)
        yield from _build(context, warehouse, ["--exclude", *AFTER_SIGNALS], known)
        if not context.assets_def.is_subset:
            mark.write_text(f"{Request.of(context, warehouse.settings).as_of}{UNFINISHED}")


@dbt_assets(manifest=MANIFEST.json, select=" ".join(AFTER_SIGNALS), name="dbt_after_signals")
def dbt_after_signals(context: dg.AssetExecutionContext, warehouse: Warehouse) -> DbtEvents:
    """Marts that join trends and flags to the rest."""
    with told_plainly():
        yield from _build(context, warehouse, ["--select", *AFTER_SIGNALS])
        mark = warehouse.settings.tested_mark
        as_of = str(Request.of(context, warehouse.settings).as_of)
        if mark.exists() and mark.read_text() == as_of + UNFINISHED:
            mark.write_text(as_of)


def _known(context: dg.AssetExecutionContext, settings: Settings) -> runs.Known | None:
    """The last complete run, if this one may start from what it left; else all is built anew."""
    request = Request.of(context, settings)
    mark = settings.tested_mark
    if request.full_refresh or not mark.exists():
        return None
    with closing(settings.connect()) as connection:
        known = runs.last_complete(
            connection, settings.published, code_fingerprint(), settings.timezone
        )
    if not known or mark.read_text() != str(known.as_of) or known.as_of > request.as_of:
        return None
    dials = load_dials(settings.seeds)
    if known.dial_fingerprint == dials.fingerprint:
        return known
    changes = dial_changes.judged(settings, dials, restate=True)
    return known if dial_changes.can_go_on(changes, dials) else None


@dataclass(frozen=True)
class _Finished:
    """One node that dbt is done with."""

    unique_id: str
    status: str
    seconds: float
    failures: int | None


def _build(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    selection: Sequence[str],
    known: runs.Known | None = None,
) -> DbtEvents:
    """Runs `dbt build` and yields an event for every asset and check as it is done.

    Args:
        context: of the asset.
        warehouse: what is written.
        selection: which nodes, unless only part of the assets was asked for.
        known: the run from whose tables this one goes on; None: everything is built anew.

    Raises:
        RunError: a model could not be built or a check of severity error failed.
    """
    settings = warehouse.settings
    request = Request.of(context, settings)
    definition = context.assets_def
    assets = {spec.metadata[UNIQUE_ID]: spec.key for spec in definition.specs}
    checks = {spec.metadata[UNIQUE_ID]: spec for spec in definition.check_specs}
    nodes = MANIFEST.json["nodes"]
    arguments = [
        "build",
        *dbt_arguments(
            settings,
            as_of_date=request.as_of.isoformat(),
            restate_from=request.from_date.isoformat() if request.from_date else None,
            known_load=str(known.load) if known else None,
            known_as_of=known.as_of.isoformat() if known else None,
        ),
        *([] if known else ["--full-refresh"]),
        *("--no-write-json", "--exclude-resource-type", "unit_test"),
        *(_only(nodes, [*assets, *checks]) if definition.is_subset else selection),
    ]
    os.environ |= settings.environment
    with _invoked(settings, arguments) as run:
        for node in run.finished():
            key, check = assets.get(node.unique_id), checks.get(node.unique_id)
            if key and node.status == "success":
                told = nodes[node.unique_id]
                metadata: dict[str, Any] = {"seconds": round(node.seconds, 3)}
                if told["config"]["materialized"] != "view" or told["schema"] == "marts":
                    metadata["dagster/row_count"] = run.row_count(told["relation_name"])
                yield dg.MaterializeResult(asset_key=key, metadata=metadata)
            elif check and node.status in {"pass", "warn", "fail", "error"}:
                warned = node.status == "warn"
                yield dg.AssetCheckResult(
                    asset_key=check.asset_key,
                    check_name=check.name,
                    passed=node.status == "pass",
                    severity=dg.AssetCheckSeverity.WARN if warned else dg.AssetCheckSeverity.ERROR,
                    metadata={"rows": node.failures or 0, "seconds": round(node.seconds, 3)},
                )
    _raise_for(run.result, settings)


def _only(nodes: dict[str, Any], unique_ids: Sequence[str]) -> list[str]:
    """Selects exactly these nodes: part of the assets was asked for."""
    names = [".".join(nodes[i]["fqn"]) for i in unique_ids]
    return ["--select", *names, "--indirect-selection", "empty"]


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


class _Run:
    """A dbt invocation that works in a thread of this process."""

    def __init__(self, settings: Settings, arguments: Sequence[str]) -> None:
        self.result = dbtRunnerResult(success=False)
        self._events: queue.Queue[_Finished | None] = queue.Queue()
        self._arguments = list(arguments)
        self._seeds = settings.seeds
        self._thread = threading.Thread(target=self._work, name="dbt")
        # Held while dbt works: counts rows beside it, in the same DuckDB instance.
        self._connection = settings.connect()

    def _work(self) -> None:
        try:
            parsed = Manifest.from_msgpack(MANIFEST.parsed, decoder=extended_mashumuro_decoder)
            for node in parsed.nodes.values():
                if isinstance(node, SeedNode):
                    node.original_file_path = str(self._seeds / f"{node.name}.csv")
            parsed.build_flat_graph()  # type: ignore[no-untyped-call]
            ctx_set_event_manager(_Quiet())
            runner = dbtRunner(manifest=parsed, callbacks=[self._listen])
            self.result = runner.invoke(self._arguments)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for it
            self.result = dbtRunnerResult(success=False, exception=error)
        finally:
            self._events.put(None)

    def _listen(self, event: EventMsg) -> None:
        if event.info.name == "NodeFinished":
            result = event.data.run_result
            self._events.put(
                _Finished(
                    unique_id=event.data.node_info.unique_id,
                    status=event.data.node_info.node_status,
                    seconds=result.execution_time,
                    failures=result.num_failures,
                )
            )

    def start(self) -> None:
        self._thread.start()

    def finished(self) -> Iterator[_Finished]:
        """Nodes as dbt is done with them, until it is done with all."""
        while (node := self._events.get()) is not None:
            yield node

    def row_count(self, relation: str) -> int:
        """Rows of a table that has just been built."""
        ((count,),) = self._connection.execute(f"select count(*) from {relation}").fetchall()
        return int(count)

    def close(self) -> None:
        """Ends dbt if it still works, and lets go of the work file."""
        while self._thread.is_alive():
            # What Ctrl-C does to dbt when it has the main thread: it wakes as its query ends.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
            )
            with suppress(KeyError):
                get_adapter_by_type("duckdb").cancel_open_connections()  # type: ignore[no-untyped-call]
            self._thread.join(1)
        self._connection.close()
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


@contextmanager
def _invoked(settings: Settings, arguments: Sequence[str]) -> Iterator[_Run]:
    run = _Run(settings, arguments)
    try:
        run.start()
        yield run
        run._thread.join()  # noqa: SLF001
    finally:
        run.close()


def _raise_for(result: dbtRunnerResult, settings: Settings) -> None:
    """Says what failed, and how to look at it.

    Raises:
        RunError: something did.
    """
    if result.success:
        return
    if result.exception:
        raise RunError(f"dbt stopped: {result.exception}")
    problems = []
    for outcome in getattr(result.result, "results", []):
        node = outcome.node
        if outcome.status == "fail":
            query = Path(node.compiled_path).absolute()
            problems.append(
                f"check {node.name} failed with {outcome.failures} rows; to see them: "
                f'accountpulse query --warehouse {settings.warehouse} --work "$(cat {query})"'
            )
        elif outcome.status in {"error", "runtime error"}:
            what = str(outcome.message).split("\n  > in macro")[0].rstrip()
            problems.append(f"{node.resource_type} {node.name} failed: {what}")
    raise RunError("\n".join(problems) or "dbt stopped")
