"""The dbt project as Dagster assets: seeds and models; their tests are asset checks.

dbt runs in a process of its own; what it reports becomes materialisations and check results while
it works. Names, groups, owners and severities come from the dbt project.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date
from typing import Any

import dagster as dg

from orchestration import dbt_process, dbt_specs, dial_changes, landing, runs, tested
from orchestration.dbt_specs import AFTER_SIGNALS, UNIQUE_ID
from orchestration.defs.resources import Request, Warehouse, told_plainly
from orchestration.defs.signals import STEPS
from orchestration.dials import load_dials
from orchestration.project import Settings, code_fingerprint, dbt_arguments, parsed_project
from orchestration.publish import newest_day

PARSED = parsed_project(Settings.resolve())

DbtEvents = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


@dg.multi_asset(name="dbt_models", can_subset=True, **dbt_specs.read(PARSED, "dbt_models"))
def dbt_models(context: dg.AssetExecutionContext, warehouse: Warehouse) -> DbtEvents:
    """Dials, staging, intermediate, marts and ops, in one dbt invocation."""
    with told_plainly():
        if not context.selected_asset_keys:
            yield from _build(context, warehouse, [])  # checks alone
            return
        mark = warehouse.settings.tested_mark
        known = None if context.assets_def.is_subset else _known(context, warehouse.settings)
        with closing(warehouse.connect()) as connection:
            built = tested.Built(
                as_of=str(Request.of(context, warehouse.settings).as_of),
                dials=load_dials(warehouse.settings.seeds).fingerprint,
                load=landing.last_load(connection),
            )
        mark.unlink(missing_ok=True)
        yield from _build(context, warehouse, ["--exclude", AFTER_SIGNALS], known)
        if not context.assets_def.is_subset:
            tested.begin(mark, built, STEPS)


@dg.multi_asset(name=tested.LAST, can_subset=True, **dbt_specs.read(PARSED, tested.LAST))
def dbt_after_signals(context: dg.AssetExecutionContext, warehouse: Warehouse) -> DbtEvents:
    """Marts that join trends and flags to the rest."""
    with told_plainly():
        if not context.selected_asset_keys:
            yield from _build(context, warehouse, [])  # checks alone
            return
        mark = warehouse.settings.tested_mark
        as_of = Request.of(context, warehouse.settings).as_of
        tested.redo(mark, as_of, tested.LAST)
        yield from _build(context, warehouse, ["--select", AFTER_SIGNALS])
        tested.done(mark, as_of, tested.LAST)


def _known(context: dg.AssetExecutionContext, settings: Settings) -> runs.Known | None:
    """The last complete run, if this one may start from what it left; else all is built anew."""
    request = Request.of(context, settings)
    if request.full_refresh:
        return None
    with closing(settings.connect()) as connection:
        known = runs.last_complete(
            connection, settings.published, code_fingerprint(), settings.timezone
        )
    if not known or known.as_of > request.as_of:
        return None
    built = tested.read(settings.tested_mark)
    if not built or built.missing or built.run != runs.published_run(settings.published):
        return None
    dials = load_dials(settings.seeds)
    if known.dial_fingerprint == dials.fingerprint:
        return known
    if not dial_changes.published(settings):
        return None
    changes = dial_changes.judged(settings, dials, restate=True)
    return known if dial_changes.can_go_on(changes, dials) else None


def _described(settings: Settings) -> date | None:
    """The day that the tables of the work file describe; None where nobody knows."""
    built = tested.read(settings.tested_mark)
    return date.fromisoformat(built.as_of) if built else newest_day(settings.published)


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
    default = None if context.selected_asset_keys else _described(settings)
    request = Request.of(context, settings, default)
    definition = context.assets_def
    assets = {
        spec.metadata[UNIQUE_ID]: spec.key
        for spec in definition.specs
        if spec.key in context.selected_asset_keys
    }
    checks = {
        spec.metadata[UNIQUE_ID]: spec
        for spec in definition.check_specs
        if spec.key in context.selected_asset_check_keys
    }
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
        *(_only([*assets, *checks]) if definition.is_subset else selection),
    ]
    invocation = dbt_process.Invocation(settings, PARSED, arguments)
    with closing(dbt_process.invoke(invocation)) as finished:
        for node in finished:
            key, check = assets.get(node.unique_id), checks.get(node.unique_id)
            if key and node.status == "success":
                metadata: dict[str, Any] = {"seconds": round(node.seconds, 3)}
                if node.row_count is not None:
                    metadata["dagster/row_count"] = node.row_count
                yield dg.MaterializeResult(asset_key=key, metadata=metadata)
            elif check and node.status in {"pass", "warn", "fail", "error"}:
                warned = node.status == "warn"
                yield dg.AssetCheckResult(
                    asset_key=check.asset_key,
                    check_name=check.name,
                    passed=node.status == "pass",
                    severity=dg.AssetCheckSeverity.WARN if warned else dg.AssetCheckSeverity.ERROR,
                    description=check.description,
                    metadata={
                        "rows": node.failures or 0,
                        "seconds": round(node.seconds, 3),
                        **({"to see them": node.to_see} if node.to_see else {}),
                    },
                )


def _only(unique_ids: Iterable[str]) -> list[str]:
    """Selects exactly these nodes: part of the assets was asked for."""
    nodes = json.loads((PARSED / "manifest.json").read_bytes())["nodes"]
    names = [".".join(nodes[i]["fqn"]) for i in unique_ids]
    return ["--select", *names, "--indirect-selection", "empty"]
