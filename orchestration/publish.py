"""Publication: tested tables become a complete, read-only version, and readers are switched to it.

Plain files and DuckDB; nothing of Dagster. A version is a folder `run-<number>-<as-of date>` with
the DuckDB file and the same tables as Parquet; `current` is a symbolic link to the newest complete
one. The link to the folder is what is swapped: replacing a database file under a reader that died
would let the next reader replay the old file's log into the new data.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.errors import InputError, RunError

SCHEMAS = ("marts", "reference", "ops")
CATALOG = "accountpulse"
"""Name of the published file and thereby of its catalog: none of the schemas may be called so."""

PARTIAL = ".partial"
"""Ending of a version's folder while it is being written."""

DATE_LENGTH = len("2026-01-31")
KEPT = 5
STORAGE_VERSION = "v1.0.0"
"""Written for readers with an older DuckDB than ours."""


@dataclass(frozen=True)
class Table:
    """A table as it is published.

    Args:
        schema: its schema.
        name: its name.
        row_count: rows in it, or -1 before they were counted.
    """

    schema: str
    name: str
    row_count: int = -1

    @property
    def relation(self) -> str:
        """Schema and name, quoted."""
        return f"{_identifier(self.schema)}.{_identifier(self.name)}"


@dataclass(frozen=True)
class Version:
    """A published version.

    Args:
        folder: where it is.
        tables: what is in it.
    """

    folder: Path
    tables: tuple[Table, ...]


def run_name(published: Path, known: Sequence[str], as_of: date) -> str:
    """The name of the next version: a running number, then the as-of date.

    Args:
        published: folder of the versions.
        known: names of earlier runs, also of those whose folder is gone.
        as_of: the day that the marts describe.
    """
    folders = [path.name for path in published.glob("run-*") if path.suffix != PARTIAL]
    newest = max((number_of(name) for name in [*known, *folders]), default=0)
    return f"run-{newest + 1:05d}-{as_of.isoformat()}"


def newest_day(published: Path) -> date | None:
    """The day that readers are shown; None while nothing is published."""
    link = published / "current"
    return date.fromisoformat(link.readlink().name[-DATE_LENGTH:]) if link.is_symlink() else None


def check_ascending(published: Path, as_of: date) -> None:
    """A warehouse only moves forward: `ops` tells its runs in order, and readers keep their days.

    Args:
        published: folder of the versions.
        as_of: the day that a run is to describe.

    Raises:
        InputError: what is published describes a later day.
    """
    newest = newest_day(published)
    if newest and as_of < newest:
        raise InputError(
            f"as of {as_of}: {published.parent} describes {newest} already, and readers would lose"
            f" the days since; the daily tables hold {as_of} too, and a run as of that day needs"
            " another --warehouse folder"
        )


def publish(
    work: duckdb.DuckDBPyConnection, published: Path, name: str, first_kept: int = 0
) -> Version:
    """Copies the published schemas to a new version and switches readers to it.

    The caller holds the writer lock. Until the last step, the swap of the link, readers see the
    version before; a version that a killed run left half-written is removed by the next one.

    Args:
        work: the work file, open, everything in it tested.
        published: folder of the versions.
        name: of the new one, from `run_name`.
        first_kept: versions with a lower number are removed, because they hold erased people.

    Raises:
        RunError: the copy is not the same as the original.
    """
    published.mkdir(parents=True, exist_ok=True)
    remove_half_written(published)
    building = published / f"{name}{PARTIAL}"
    building.mkdir()
    tables = _copy(work, building / f"{CATALOG}.duckdb")
    _export(work, building / "parquet", tables)
    for path in building.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
        flush(path)
    flush(building)
    folder = building.replace(published / name)
    flush(published)
    _switch(published, name)
    _prune(published, first_kept)
    return Version(folder, tables)


def remove_half_written(published: Path) -> None:
    """Removes what a killed run left behind; the caller holds the writer lock."""
    for path in published.glob(f"*{PARTIAL}"):
        shutil.rmtree(path)
    for path in published.glob("current.*"):
        path.unlink()


def _tables(work: duckdb.DuckDBPyConnection) -> list[Table]:
    rows = work.execute(
        "select schema_name, table_name from duckdb_tables()"
        " where database_name = current_catalog() and not temporary"
        " and list_contains(?, schema_name) order by all",
        [list(SCHEMAS)],
    ).fetchall()
    return [Table(schema, name) for schema, name in rows]


def _copy(work: duckdb.DuckDBPyConnection, path: Path) -> tuple[Table, ...]:
    """Writes every table with its types, constraints on null, order of columns and comments."""
    tables = []
    work.execute(f"attach {_literal(str(path))} as {CATALOG} (storage_version '{STORAGE_VERSION}')")
    try:
        for schema in SCHEMAS:
            work.execute(f"create schema {CATALOG}.{_identifier(schema)}")
        for table in _tables(work):
            for statement in copy_statements(work, table):
                work.execute(statement)
            ((wanted, got),) = work.execute(
                f"select (select count(*) from {table.relation}),"
                f" (select count(*) from {CATALOG}.{table.relation})"
            ).fetchall()
            if wanted != got:
                raise RunError(f"{table.relation}: {got} rows were copied of {wanted}")
            tables.append(Table(table.schema, table.name, got))
        work.execute(f"checkpoint {CATALOG}")
    finally:
        work.execute(f"detach {CATALOG}")
    return tuple(tables)


def copy_statements(work: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    """Statements that make and fill the published copy of a table."""
    columns = work.execute(
        "select column_name, data_type, is_nullable, comment from duckdb_columns()"
        " where database_name = current_catalog() and schema_name = ? and table_name = ?"
        " order by column_index",
        [table.schema, table.name],
    ).fetchall()
    ((comment,),) = work.execute(
        "select comment from duckdb_tables()"
        " where database_name = current_catalog() and schema_name = ? and table_name = ?",
        [table.schema, table.name],
    ).fetchall()
    target = f"{CATALOG}.{table.relation}"
    typed = ", ".join(
        f"{_identifier(name)} {kind}{'' if nullable else ' not null'}"
        for name, kind, nullable, _ in columns
    )
    statements = [
        f"create table {target} ({typed})",
        f"insert into {target} select * from {table.relation}",
    ]
    if comment:
        statements.append(f"comment on table {target} is {_literal(comment)}")
    statements += [
        f"comment on column {target}.{_identifier(name)} is {_literal(text)}"
        for name, _, _, text in columns
        if text
    ]
    return statements


def _export(work: duckdb.DuckDBPyConnection, folder: Path, tables: Sequence[Table]) -> None:
    for schema in SCHEMAS:
        (folder / schema).mkdir(parents=True)
    for table in tables:
        path = folder / table.schema / f"{table.name}.parquet"
        work.execute(
            f"copy (from {table.relation}) to {_literal(str(path))}"
            " (format parquet, compression zstd)"
        )


def _switch(published: Path, name: str) -> None:
    """Points `current` at a version: a new link takes the old one's place in one step."""
    link = published / f"current.{os.getpid()}"
    link.symlink_to(name, target_is_directory=True)
    link.replace(published / "current")
    flush(published)


def versions_before(published: Path, number: int) -> list[Path]:
    """Folders of the versions, also half-written ones, with a lower number than this."""
    return sorted(path for path in published.glob("run-*") if number_of(path.name) < number)


def _prune(published: Path, first_kept: int) -> None:
    """Keeps the last versions; a reader that has an older one open goes on reading it."""
    current = (published / "current").resolve()
    runs = sorted(published.glob("run-*"), key=lambda path: number_of(path.name))
    for path in {*runs[:-KEPT], *versions_before(published, first_kept)}:
        if path != current:
            shutil.rmtree(path)


def flush(path: Path) -> None:
    """Has the kernel write a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def number_of(name: str) -> int:
    """The running number in a version's name."""
    return int(name.split("-")[1])


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
