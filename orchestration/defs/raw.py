"""What comes in, as assets: the dials, checked, and the raw tables, landed."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb

from orchestration import dial_changes, landing
from orchestration.defs.resources import OWNERS, Request, Warehouse, told_plainly
from orchestration.dials import FILES, check_traits, load_dials
from orchestration.erasure import remove_unfinished
from orchestration.errors import InputError
from orchestration.raw_files import select_rows
from orchestration.suppression import Rows

ROWS = {
    "tracks": "One row per delivered track call; delivered at least once, in any order, late.",
    "identifies": "One row per delivered identify call: who an anonymous id is, traits of users.",
    "groups": "One row per delivered group call: who joined which account, traits of accounts.",
}


@dg.asset(group_name="dials", owners=OWNERS, kinds={"csv"}, key=["dials"])
def dials(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult[None]:
    """The dial files, checked before anything is written: a wrong one ends the run here.

    So does one that would rewrite published days, unless the run has the tag
    `accountpulse/restate_dials`.
    """
    settings = warehouse.settings
    with told_plainly():
        checked = load_dials(settings.seeds)
        dial_changes.judged(settings, checked, restate=Request.of(context, settings).restate_dials)
    rows = {file: len(getattr(checked, file)) for file in FILES}
    table = "\n".join(f"| {file}.csv | {count} |" for file, count in rows.items())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(rows.values()),
            "fingerprint": checked.fingerprint,
            "folder": dg.MetadataValue.path(warehouse.settings.seeds),
            "files": dg.MetadataValue.md(f"| file | rows |\n|---|---:|\n{table}"),
        }
    )


def _columns(table: str) -> dg.TableSchema:
    """The raw layout's columns; a table may bring further traits."""
    kinds = {"text": "varchar", "time": "timestamp", "integer": "bigint"}
    laid_out = {name: kinds[kind] for name, kind in landing.LAYOUT[table].items()}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=kind.lower(),
                constraints=dg.TableColumnConstraints(nullable=name not in landing.REQUIRED[table]),
            )
            for name, kind in (laid_out | landing.OWN_COLUMNS).items()
        ]
    )


def _check_history(
    connection: duckdb.DuckDBPyConnection, plan: landing.LandingPlan, as_of: date, timezone: str
) -> None:
    """There is a row to describe on the as-of date or before, in the tables or the new files.

    Raises:
        InputError: there is none; says when the first one is.
    """
    over = datetime.combine(as_of + timedelta(days=1), time(), ZoneInfo(timezone))
    bound = {"over": over.astimezone(UTC).replace(tzinfo=None)}
    valid = "happened_at >= timestamp '2000-01-01'"
    early = f"select 1 from ({{}}) where {valid} and happened_at < $over limit 1"
    for rows, file in _row_times(plan):
        if connection.execute(early.format(rows), bound | file).fetchall():
            return
    times = []
    for rows, file in _row_times(plan):
        ((first,),) = connection.execute(
            f"select min(happened_at) from ({rows}) where {valid}", file
        ).fetchall()
        times += [first] if first else []
    if times:
        day = min(times).replace(tzinfo=UTC).astimezone(ZoneInfo(timezone)).date()
        raise InputError(f"no rows on or before {as_of}; the first one is of {day}")


def _row_times(plan: landing.LandingPlan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Queries for the times `happened_at` (UTC) of rows, and what is to be bound in each."""
    for table, types in plan.tables.items():
        known = Rows.of_table(table, types)
        yield f"select {known.time('timestamp')} as happened_at from ({known.sql}) as r", {}
    for file in plan.files:
        columns = tuple(column for column in file.columns if column.target == "timestamp")
        rows = select_rows(replace(file, columns=columns), {})
        yield f"select v0 as happened_at from ({rows})", {"path": file.pattern, "load_id": 0}


@dg.multi_asset(
    name="landing",
    specs=[
        dg.AssetSpec(
            ["raw", table],
            deps=[dials],
            description=description,
            group_name="raw",
            owners=OWNERS,
            kinds={"duckdb"},
            metadata={"dagster/column_schema": _columns(table)},
        )
        for table, description in ROWS.items()
    ],
)
def raw_tables(
    context: dg.AssetExecutionContext, warehouse: Warehouse
) -> Iterator[dg.MaterializeResult[Any]]:
    """New files of the landing folder, each loaded once; tables that are there stay as they are."""
    settings = warehouse.settings
    remove_unfinished(settings)
    with told_plainly(), closing(warehouse.connect()) as connection:
        plan = landing.inspect(settings.raw, connection, is_read_through=False)
        if not Request.of(context, settings).full_refresh:
            landing.check_nothing_is_lost(plan, settings.published_db)
        problems = check_traits(
            load_dials(settings.seeds), plan.columns("identifies"), plan.columns("groups")
        )
        if problems:
            raise InputError(problems)
        try:
            _check_history(connection, plan, Request.of(context, settings).as_of, settings.timezone)
        except duckdb.Error:
            landing.inspect(settings.raw, connection)  # if it is a file, this tells which
            raise
        if landing.LAYOUT.keys() - plan.tables.keys():
            # Where a raw table is made anew, nothing can go on from what was made of the old one.
            settings.tested_mark.unlink(missing_ok=True)
        landed = landing.load(connection, plan)
        for table in ROWS:
            ((count,),) = connection.execute(f"select count(*) from raw.{table}").fetchall()
            brought = landed.tables[table]
            context.log.info(
                "%s: %s new rows, %s new files, %s rows of erased people left out",
                *(table, brought.rows, brought.files, brought.suppressed),
            )
            yield dg.MaterializeResult(
                asset_key=["raw", table],
                metadata={
                    "dagster/row_count": count,
                    "new_rows": brought.rows,
                    "new_files": brought.files,
                    "suppressed_rows": brought.suppressed,
                },
            )
