"""The publication as an asset: the one that has a calendar, one partition per as-of date."""

from datetime import date
from pathlib import Path

import dagster as dg
import duckdb

from orchestration import dial_changes, landing, restatements, runs, suppression, tested
from orchestration.defs.dbt import dbt_after_signals, dbt_models
from orchestration.defs.resources import OWNERS, Request, Warehouse, told_plainly
from orchestration.defs.signals import SIGNALS
from orchestration.dials import load_dials
from orchestration.errors import RunError
from orchestration.project import FIRST_DAY, Settings, code_fingerprint
from orchestration.publish import SCHEMAS, publish, run_name

CALENDAR = dg.DailyPartitionsDefinition(
    start_date=FIRST_DAY.isoformat(), timezone=Settings.resolve().timezone
)


def _published_keys() -> list[dg.AssetKey]:
    keys = {
        *dbt_models.keys,
        *dbt_after_signals.keys,
        *(key for made in SIGNALS for key in made.keys),
    }
    return sorted(key for key in keys if key.path[0] in SCHEMAS)


def _check_tested(mark: Path, published: str, as_of: date, dials: str, load: int) -> None:
    """What is about to be published was built of what is there now, passed its tests, and is new.

    Args:
        mark: see `tested`.
        published: name of the version that readers see.
        as_of: the day of the partition.
        dials: their fingerprint now.
        load: number of the last load of raw files.

    Raises:
        RunError: it was not; most likely the publication was started by itself.
    """
    built = tested.read(mark)
    if not built or built.missing or built.as_of != as_of.isoformat():
        raise RunError(
            f"built and tested are the marts of {built or 'no day'}, not of {as_of}:"
            " materialise all assets of the partition, or launch daily_refresh"
        )
    if (built.dials, built.load) != (dials, load):
        raise RunError(
            f"built and tested are the marts of {built} before raw rows or dials came in:"
            " materialise all assets of the partition, or launch daily_refresh"
        )
    if published and built.run == published:
        raise RunError(
            f"these marts are published as {published}: to make them anew, materialise all assets"
            " of the partition, or launch daily_refresh"
        )


@dg.asset(
    name="published_marts",
    group_name="publication",
    owners=OWNERS,
    kinds={"duckdb", "parquet"},
    deps=_published_keys(),
    partitions_def=CALENDAR,
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(name=name, type=kind.split()[0], description=text)
                for name, (kind, text) in runs.COLUMNS.items()
            ]
        )
    },
)
def published_marts(
    context: dg.AssetExecutionContext, warehouse: Warehouse
) -> dg.MaterializeResult[None]:
    """One folder per run: what readers open, a DuckDB file and the same tables as Parquet.

    The last step of a run: only when every check has passed is `current` pointed at the new folder.
    Each version adds its row to `ops.runs`, whose columns are shown here. `copied` says whether all
    days were copied, and why, or the changed ones.
    """
    with told_plainly():
        settings = warehouse.settings
        request = Request.of(context, settings)
        dials = load_dials(settings.seeds)
        changes = dial_changes.judged(settings, dials, restate=request.restate_dials)
        connection = warehouse.connect()
        try:
            load = landing.last_load(connection)
            published = runs.published_run(settings.published)
            _check_tested(settings.tested_mark, published, request.as_of, dials.fingerprint, load)
            name = run_name(settings.published, runs.known(connection), request.as_of)
            runs.forget_unpublished(connection, settings.published)
            restated_days = runs.restated_days(connection)
            try:
                restated, first_restated = restatements.record(
                    connection, name, settings.published_db if restated_days is None else None
                )
            except duckdb.Error as error:
                context.log.warning(
                    "what became other than before is not known: %s cannot be compared (%s)",
                    settings.published_db,
                    str(error).partition("\n")[0],
                )
                restated, first_restated = 0, None
            runs.record(
                connection,
                runs.Run(
                    run_id=name,
                    dial_fingerprint=dials.fingerprint,
                    code_fingerprint=code_fingerprint(),
                    timezone=settings.timezone,
                    as_of=request.as_of,
                    load=load or None,
                    from_date=request.from_date,
                    restated_days=restated_days,
                    changed_from=first_restated,
                ),
            )
            dial_changes.record(connection, name, request.as_of, changes)
            tested.publishing(settings.tested_mark, name)
            version = publish(
                *(connection, settings.published, name),
                changed_days=runs.changed_days(connection),
                first_kept=suppression.first_run(connection),
            )
        finally:
            connection.close()
    rows = "\n".join(f"| {t.schema}.{t.name} | {t.row_count:,} |" for t in version.tables)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(table.row_count for table in version.tables),
            "run_id": version.folder.name,
            "as_of_date": request.as_of.isoformat(),
            "folder": dg.MetadataValue.path(version.folder),
            "restated_days": restated,
            "restated_from": str(first_restated or ""),
            "copied": f"everything: {version.whole}" if version.whole else "the changed days",
            "tables": dg.MetadataValue.md(f"| table | rows |\n|---|---:|\n{rows}"),
        }
    )
