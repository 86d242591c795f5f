"""Publication: tested tables become a complete, read-only version, and readers are switched to it.

Plain files and DuckDB; nothing of Dagster. A version is a folder `run-<number>-<as-of date>` with
the DuckDB file and the same tables as Parquet; `current` is a symbolic link to the newest complete
one. The link to the folder is what is swapped: replacing a database file under a reader that died
would let the next reader replay the old file's log into the new data.

A version can be built on the one before: then the large daily marts are written for the changed
days alone. Nothing is ever written into the version before: its DuckDB file is copied, and of its
Parquet files those that stay as they are get a second name (a hard link).
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import duckdb

from orchestration import runs
from orchestration.errors import InputError, RunError
from orchestration.sql import identifier, literal

SCHEMAS = ("marts", "reference", "ops")
CATALOG = "accountpulse"
"""Name of the published file and thereby of its catalog: none of the schemas may be called so."""

_WORK = "current_catalog()"
_COPY = f"'{CATALOG}'"
_ON_DAYS = 'where "date" in (select unnest($days::date[]))'

PARTIAL = ".partial"
"""Ending of a version's folder while it is being written."""

VERSION = re.compile(rf"run-\d{{5,}}-\d{{4}}-\d\d-\d\d({re.escape(PARTIAL)})?")
DATE_LENGTH = len("2026-01-31")
KEPT = 5
STORAGE_VERSION = "v1.0.0"
"""Written for readers with an older DuckDB than ours."""

WRITERS = 2
"""So many tables are written as Parquet at a time: most are too small for a second thread."""

NO_ROWS = "no-rows.parquet"
"""The one file of a daily mart without rows: it tells readers the columns."""

FREE_BLOCKS = 64
"""Blocks (of 256 KB) that a file may always have free; beyond, half as many as it uses."""


@dataclass(frozen=True)
class Column:
    """A column as it is published.

    Args:
        name: its name.
        kind: its type, as SQL says it.
        is_nullable: whether it may be null.
        comment: what it means, if that is told.
    """

    name: str
    kind: str
    is_nullable: bool
    comment: str | None


@dataclass(frozen=True)
class Table:
    """A table as it is published.

    Args:
        schema: its schema.
        name: its name.
        columns: its columns, in order.
        comment: what it holds, if that is told.
        row_count: rows in it, or -1 before they were counted.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    comment: str | None
    row_count: int = -1

    @property
    def relation(self) -> str:
        """Schema and name, quoted."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    @property
    def is_daily(self) -> bool:
        """Whether it is a history by the day: sorted by date, and one Parquet file per month."""
        return self.schema == "marts" and self.name.endswith("_daily")

    @property
    def order(self) -> str:
        """How its rows are sorted: a daily mart by date, account and user."""
        if not self.is_daily:
            return ""
        keys = ["date", *(column.name for column in self.columns if column.name.endswith("_id"))]
        return f"order by {', '.join(map(identifier, keys))}"


@dataclass(frozen=True)
class Version:
    """A published version.

    Args:
        folder: where it is.
        tables: what is in it.
        whole: why all days were copied; empty where it was built on the version before.
    """

    folder: Path
    tables: tuple[Table, ...]
    whole: str


@dataclass(frozen=True)
class _Before:
    """The version to build on, and by daily mart the days on which it may be wrong."""

    folder: Path
    changed_days: Mapping[str, Sequence[date]]

    def days_of(self, table: Table) -> Sequence[date] | None:
        """The days of a table that must be copied; None: all of it."""
        return self.changed_days.get(table.name) if table.is_daily else None


def run_name(published: Path, known: Sequence[str], as_of: date) -> str:
    """The name of the next version: a running number, then the as-of date.

    Args:
        published: folder of the versions.
        known: names of earlier runs, also of those whose folder is gone.
        as_of: the day that the marts describe.
    """
    folders = [path.name for path in versions(published) if path.suffix != PARTIAL]
    newest = max((number_of(name) for name in [*known, *folders]), default=0)
    return f"run-{newest + 1:05d}-{as_of.isoformat()}"


def newest_day(published: Path) -> date | None:
    """The day that readers are shown; None while nothing is published."""
    newest = runs.published_run(published)
    return date.fromisoformat(newest[-DATE_LENGTH:]) if newest else None


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
    work: duckdb.DuckDBPyConnection,
    published: Path,
    name: str,
    changed_days: Mapping[str, Sequence[date]] | None = None,
    first_kept: int = 0,
) -> Version:
    """Copies the published schemas to a new version and switches readers to it.

    The caller holds the writer lock. Until the last step, the swap of the link, readers see the
    version before; a version that a killed run left half-written is removed by the next one.

    With `changed_days`, the version that `current` points to is built on, if it is that of the run
    before, made by the same code, and sound. If not, everything is copied, and the version says
    why. A version of which everything was copied shares no file with an earlier one.

    Args:
        work: the work file, open, everything in it tested, the run recorded in `ops.runs`.
        published: folder of the versions.
        name: of the new one, from `run_name`.
        changed_days: by daily mart every day on which a row of it may differ from the version that
            `current` points to, new days included; what is not named is copied whole. None: not
            known.
        first_kept: versions with a lower number are removed, because they hold erased people.

    Raises:
        RunError: the copy is not the same as the original.
    """
    published.mkdir(parents=True, exist_ok=True)
    remove_half_written(published)
    building = published / f"{name}{PARTIAL}"
    tables, whole = None, "the changed days are not known"
    if changed_days is not None:
        try:
            before = _Before(_folder_before(work, published, name), changed_days)
            tables, whole = _write(work, building, before), ""
        except (RunError, duckdb.Error, OSError) as error:
            remove_half_written(published)
            whole = str(error).partition("\n")[0] or type(error).__name__
    if tables is None:
        tables = _write(work, building, None)
    for path in building.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
        flush(path)
    flush(building)
    folder = building.replace(published / name)
    flush(published)
    _switch(published, name)
    _prune(published, first_kept)
    return Version(folder, tables, whole)


def remove_half_written(published: Path) -> None:
    """Removes what a killed run left behind; the caller holds the writer lock."""
    for path in versions(published):
        if path.suffix == PARTIAL:
            shutil.rmtree(path)
    for path in published.glob("current.*"):
        path.unlink()


def _folder_before(work: duckdb.DuckDBPyConnection, published: Path, name: str) -> Path:
    """The folder that `current` points to.

    Raises:
        RunError: it is not the version of the run before by the same code.
    """
    folder = (published / "current").resolve()
    if folder.name != runs.before(work, name):
        raise RunError("the version before is not that of the run before by the same code")
    return folder


def _write(
    work: duckdb.DuckDBPyConnection, building: Path, before: _Before | None
) -> tuple[Table, ...]:
    """Writes a version's files, and compares them with what they were made from.

    Raises:
        RunError: they are not the same, or the version before cannot be built on.
    """
    building.mkdir()
    file = building / f"{CATALOG}.duckdb"
    if before:
        _copy_file(before.folder / file.name, file)
    work.execute(f"attach {literal(file)} as {CATALOG} (storage_version '{STORAGE_VERSION}')")
    try:
        with _transaction(work):
            tables = _fill(work, before)
        work.execute(f"checkpoint {CATALOG}")
        if before:
            _check_slack(work)
        tables = [_counted(work, table, before) for table in tables]
        _export(work, building / "parquet", tables, before)
    finally:
        work.execute(f"detach {CATALOG}")
    return tuple(tables)


def _fill(work: duckdb.DuckDBPyConnection, before: _Before | None) -> list[Table]:
    """Brings the attached file to what the work file holds.

    Raises:
        RunError: a table whose changed days are to be copied is not there as it is now.
    """
    tables = _tables(work, _WORK)
    there = _tables(work, _COPY)
    for schema in SCHEMAS:
        work.execute(f"create schema if not exists {CATALOG}.{identifier(schema)}")
    for table in there:
        if table not in tables:
            work.execute(f"drop table {CATALOG}.{table.relation}")
    for table in tables:
        if table not in there:
            for statement in _create_statements(table):
                work.execute(statement)
        days = before.days_of(table) if before else None
        if days is None:
            work.execute(f"delete from {CATALOG}.{table.relation}")
            work.execute(insert_statement(table))
        elif table in there:
            work.execute(f"delete from {CATALOG}.{table.relation} {_ON_DAYS}", {"days": days})
            work.execute(insert_statement(table, _ON_DAYS), {"days": days})
        else:
            raise RunError(f"{table.relation} is another table in the version before")
    return tables


def _tables(work: duckdb.DuckDBPyConnection, catalog: str) -> list[Table]:
    """The published tables of the work file or of the attached one; a view counts as a table."""
    rows = work.execute(
        "select schema_name, table_name, tables.comment,"
        " column_name, data_type, is_nullable, columns.comment"
        " from (select database_name, schema_name, table_name, comment from duckdb_tables()"
        " where not temporary union all"
        " select database_name, schema_name, view_name, comment from duckdb_views()) as tables"
        " inner join duckdb_columns() as columns"
        " using (database_name, schema_name, table_name)"
        f" where database_name = {catalog}"
        " and list_contains(?, schema_name)"
        " order by schema_name, table_name, column_index",
        [list(SCHEMAS)],
    ).fetchall()
    return [
        Table(schema, name, tuple(Column(*row[3:]) for row in columns), comment)
        for (schema, name, comment), columns in groupby(rows, key=lambda row: row[:3])
    ]


def _create_statements(table: Table) -> list[str]:
    """Statements that make a table with its types, constraints on null and comments."""
    target = f"{CATALOG}.{table.relation}"
    typed = ", ".join(
        f"{identifier(column.name)} {column.kind}{'' if column.is_nullable else ' not null'}"
        for column in table.columns
    )
    statements = [f"create table {target} ({typed})"]
    if table.comment:
        statements.append(f"comment on table {target} is {literal(table.comment)}")
    statements += [
        f"comment on column {target}.{identifier(column.name)} is {literal(column.comment)}"
        for column in table.columns
        if column.comment
    ]
    return statements


def insert_statement(table: Table, among: str = "") -> str:
    """The statement that fills the published copy of a table, or of some of its rows."""
    return f"insert into {CATALOG}.{table.relation} from {table.relation} {among} {table.order}"


def _check_slack(work: duckdb.DuckDBPyConnection) -> None:
    """A file that is changed time and again holds blocks that nothing uses any more.

    Raises:
        RunError: too many of them.
    """
    ((used, free),) = work.execute(
        f"select used_blocks, free_blocks from pragma_database_size() where database_name = {_COPY}"
    ).fetchall()
    if free > max(FREE_BLOCKS, used // 2):
        raise RunError("the file has grown too far beyond what is in it")


def _counted(work: duckdb.DuckDBPyConnection, table: Table, before: _Before | None) -> Table:
    """The table with its number of rows, which is that of the original, on each changed day too.

    Raises:
        RunError: it is not.
    """
    ((wanted, got),) = work.execute(
        f"select (select count(*) from {table.relation}),"
        f" (select count(*) from {CATALOG}.{table.relation})"
    ).fetchall()
    if wanted != got:
        raise RunError(f"{table.relation}: {got} rows were copied of {wanted}")
    days = before.days_of(table) if before else None
    if days is not None:
        here, there = (
            work.execute(
                f'select "date", count(*) from {relation} {_ON_DAYS} group by all order by all',
                {"days": days},
            ).fetchall()
            for relation in (table.relation, f"{CATALOG}.{table.relation}")
        )
        if here != there:
            raise RunError(f"{table.relation}: not every changed day was copied")
    return replace(table, row_count=got)


def _export(
    work: duckdb.DuckDBPyConnection,
    folder: Path,
    tables: Sequence[Table],
    before: _Before | None,
) -> None:
    """Writes the attached file's tables as Parquet.

    Raises:
        RunError: the files have not as many rows as the tables.
    """
    for schema in SCHEMAS:
        (folder / schema).mkdir(parents=True)

    def export(table: Table) -> list[Path]:
        path = folder / table.schema / f"{table.name}.parquet"
        with closing(work.cursor()) as own:
            if table.is_daily:
                return _export_months(own, path.with_suffix(""), table, before)
            _write_parquet(own, f"from {CATALOG}.{table.relation}", path)
            return [path]

    with ThreadPoolExecutor(WRITERS) as pool:
        files = dict(zip(tables, pool.map(export, tables), strict=True))
    rows = dict(
        work.execute(
            "select file_name, num_rows from parquet_file_metadata(?)",
            [[str(path) for paths in files.values() for path in paths]],
        ).fetchall()
    )
    for table, paths in files.items():
        got = sum(rows[str(path)] for path in paths)
        if got != table.row_count:
            raise RunError(f"{table.relation}: {got} rows are in Parquet of {table.row_count}")


def _export_months(
    work: duckdb.DuckDBPyConnection, folder: Path, table: Table, before: _Before | None
) -> list[Path]:
    """One file per month with rows; a month without a changed day keeps the file that it has."""
    folder.mkdir()
    relation = f"{CATALOG}.{table.relation}"
    days = before.days_of(table) if before else None
    order = table.order if days is not None else ""  # a table written at once is in order
    if before and days is not None:
        firsts = {day.replace(day=1) for day in days}
        written = {_month_file(first) for first in firsts} | {NO_ROWS}
        for path in (before.folder / "parquet" / table.schema / table.name).iterdir():
            if path.name not in written:
                _link(path, folder / path.name)
    else:
        months = f"select distinct date_trunc('month', \"date\")::date from {relation}"
        firsts = {first for (first,) in work.execute(months).fetchall()}
    for first in sorted(firsts):
        path = folder / _month_file(first)
        following = (first + timedelta(days=31)).replace(day=1)
        among = f"\"date\" >= date '{first}' and \"date\" < date '{following}'"
        if not _write_parquet(work, f"from {relation} where {among} {order}", path):
            path.unlink()
    if not any(folder.iterdir()):
        _write_parquet(work, f"from {relation}", folder / NO_ROWS)
    return list(folder.iterdir())


def _write_parquet(work: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Writes what a query says, and tells the number of rows."""
    ((rows,),) = work.execute(
        f"copy ({query}) to {literal(path)} (format parquet, compression zstd)"
    ).fetchall()
    return int(rows)


def _month_file(day: date) -> str:
    return f"{day.isoformat()[:7]}.parquet"


def _link(old: Path, new: Path) -> None:
    """Gives a file a second name; where the file system has no such thing, copies it."""
    try:
        new.hardlink_to(old)
    except OSError:
        shutil.copyfile(old, new)


def _copy_file(old: Path, new: Path) -> None:
    """Copies a file inside the kernel; where the file system can, without copying its blocks."""
    if sys.platform == "linux":
        try:
            with old.open("rb") as source, new.open("wb") as target:
                while os.copy_file_range(source.fileno(), target.fileno(), 1 << 30):
                    pass
        except OSError:
            pass
        else:
            return
    shutil.copyfile(old, new)


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("begin")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _switch(published: Path, name: str) -> None:
    """Points `current` at a version: a new link takes the old one's place in one step."""
    link = published / f"current.{os.getpid()}"
    link.symlink_to(name, target_is_directory=True)
    link.replace(published / "current")
    flush(published)


def versions(published: Path) -> list[Path]:
    """Folders of the versions, also half-written ones, oldest first; other names are not ours."""
    ours = (path for path in published.glob("run-*") if VERSION.fullmatch(path.name))
    return sorted(ours, key=lambda path: number_of(path.name))


def versions_before(published: Path, number: int) -> list[Path]:
    """Folders of the versions, also half-written ones, with a lower number than this."""
    return [path for path in versions(published) if number_of(path.name) < number]


def _prune(published: Path, first_kept: int) -> None:
    """Keeps the last versions; a reader that has an older one open goes on reading it.

    Where an old one cannot be removed now, the next publication tries again.
    """
    current = (published / "current").resolve()
    with_erased = versions_before(published, first_kept)
    for path in {*versions(published)[:-KEPT], *with_erased}:
        if path != current:
            shutil.rmtree(path, ignore_errors=path not in with_erased)


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
