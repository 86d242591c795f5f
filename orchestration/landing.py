"""Landing: raw files into the tables of schema `raw`, each file exactly once.

What belongs here: finding files, the ledger of what was loaded, making and widening the raw tables,
and the load. What does not: what is inside a file (`raw_files`), cleaning values, dropping rows.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration.errors import InputError, RunError
from orchestration.raw_files import (
    DATA_FILE,
    FORMATS,
    LAYOUT,
    OWN_COLUMNS,
    REQUIRED,
    TIME_TYPES,
    TYPES,
    RawFile,
    describe,
    is_time,
    listed,
    quoted,
    select_rows,
)

__all__ = [
    "LAYOUT",
    "OWN_COLUMNS",
    "REQUIRED",
    "LandingPlan",
    "LandingResult",
    "RawFile",
    "TableLanding",
    "inspect",
    "load",
]

_OTHER_DATA = re.compile(
    r"\.((json|tsv|avro|orc|xlsx?)(\.gz)?|parquet\.gz|zip|tar|tgz|zst|bz2|xz|lz4|snappy)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LandingPlan:
    """What a load would do; made by `inspect`.

    Attributes:
        files: New files, by table and name.
        touched: Known files with a new modification time and the same content.
        known_count: How many files of the folder are loaded already.
        tables: Columns (lower case) and types of the raw tables that exist.
    """

    files: tuple[RawFile, ...]
    touched: tuple[RawFile, ...]
    known_count: int
    tables: Mapping[str, Mapping[str, str]]

    def columns(self, table: str) -> list[str]:
        """The columns, lower case, that a raw table will have after the load."""
        return list(dict.fromkeys([*self.tables.get(table, LAYOUT[table]), *self.arriving(table)]))

    def arriving(self, table: str) -> list[str]:
        """The columns that the new files of a raw table bring."""
        found = [c.target for file in self.files if file.table == table for c in file.columns]
        return list(dict.fromkeys(found))


@dataclass
class TableLanding:
    """How much of one raw table a load brought."""

    files: int = 0
    rows: int = 0


@dataclass(frozen=True)
class LandingResult:
    """What a load did, by raw table; a table without new files stands with zeros."""

    tables: dict[str, TableLanding] = field(
        default_factory=lambda: {table: TableLanding() for table in LAYOUT}
    )


def inspect(raw: Path | None, connection: duckdb.DuckDBPyConnection) -> LandingPlan:
    """Look at the landing folder and the raw tables without writing anything.

    New files are read once from beginning to end, so that whatever is wrong with one is told before
    any file is loaded. A known file is taken as unchanged while its size and modification time are
    those of the ledger; otherwise its content is hashed and compared. So a file that was rewritten
    at the same length and given its old modification time is not noticed.

    Args:
        raw: The landing folder; None for tables only. A folder that does not exist is all right
            where `raw.tracks` exists and nothing was ever loaded from files.
        connection: The warehouse, or an empty database where there is none yet; may be read-only.

    Returns:
        The new files and what is there already.

    Raises:
        InputError: Everything that is wrong, one line each.
    """
    connection.execute("set TimeZone = 'UTC'")
    tables, views = _raw_tables(connection)
    # A raw table that is gone took its rows with it: its files are new again.
    ledger = {key: known for key, known in _ledger(connection).items() if key[0] in tables}
    problems = _wrong_tables(tables)
    found: list[RawFile] = []
    if raw is not None and (raw.exists() or ledger or "tracks" not in tables):
        found = _find_files(raw, problems)
    if "tracks" not in tables and not problems and all(file.table != "tracks" for file in found):
        folder = f"{raw}: there is no tracks file or folder ({FORMATS}), and " if raw else ""
        problems.append(f"{folder}the warehouse has no table raw.tracks")
    touched = _changed(found, ledger, problems)
    new = [file for file in found if (file.table, file.name) not in ledger]
    described = list(_described(connection, new, views, problems))
    if problems:
        raise InputError(problems)
    return LandingPlan(tuple(described), tuple(touched), len(found) - len(new), tables)


def load(
    connection: duckdb.DuckDBPyConnection,
    plan: LandingPlan,
    progress: Callable[[RawFile, int], None] | None = None,
) -> LandingResult:
    """Load the new files of a plan: all of them, or none.

    Rows and ledger are written in one transaction, so a process that dies at any moment leaves
    either every file of the plan loaded and known, or none. Raw tables that are not there are
    created. Values are brought to the type of their column; one that cannot be becomes null and is
    kept in `_unparsed`.

    Args:
        connection: The warehouse, writable. Its session time zone is set to UTC.
        plan: What `inspect` found on this connection.
        progress: Called after each file with the file and its number of rows.

    Returns:
        Files and rows by raw table.

    Raises:
        InputError: A file changed after it was inspected, or breaks a constraint of its table.
        RunError: The warehouse could not be written.
    """
    result = LandingResult()
    if not (plan.files or plan.touched or LAYOUT.keys() - plan.tables.keys()):
        return result
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("begin transaction")
    try:
        types = _prepare_tables(connection, plan)
        for file in plan.files:
            rows = _load_file(connection, file, types[file.table])
            result.tables[file.table].files += 1
            result.tables[file.table].rows += rows
            if progress is not None:
                progress(file, rows)
        for file in plan.touched:
            connection.execute(
                "update ops.landed_files set modified_ns = $modified_ns "
                "where table_name = $table and file_name = $name",
                {"modified_ns": file.modified_ns, "table": file.table, "name": file.name},
            )
        connection.execute("commit")
    except BaseException as error:
        with suppress(duckdb.Error):
            connection.execute("rollback")
        if isinstance(error, duckdb.Error):
            why = str(error).splitlines()[0]
            raise RunError(f"the raw tables could not be written: {why}") from error
        raise
    return result


@dataclass(frozen=True)
class _Known:
    size: int
    modified_ns: int
    content_hash: str


def _ledger(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], _Known]:
    try:
        rows = connection.execute(
            "select table_name, file_name, size_bytes, modified_ns, content_hash "
            "from ops.landed_files"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {(table, name): _Known(*known) for table, name, *known in rows}


def _raw_tables(
    connection: duckdb.DuckDBPyConnection,
) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Columns and types of the raw tables that exist, and which of them are views."""
    rows = connection.execute(
        "select lower(table_name), lower(column_name), data_type, table_type = 'VIEW' "
        "from information_schema.columns join information_schema.tables "
        "using (table_catalog, table_schema, table_name) "
        "where table_catalog = current_database() and lower(table_schema) = 'raw' "
        "order by table_name, ordinal_position"
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    views = set()
    for table, column, data_type, is_view in rows:
        if table in LAYOUT:
            tables.setdefault(table, {})[column] = data_type
            if is_view:
                views.add(table)
    return tables, views


def _wrong_tables(tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    problems = []
    for table, columns in tables.items():
        problems += [
            f"raw.{table}: the required column {name} is missing{listed(columns)}"
            for name in REQUIRED[table]
            if name not in columns
        ]
        problems += [
            f"raw.{table}: the column {name} holds {columns[name]}; {TIME_TYPES}"
            for name, kind in LAYOUT[table].items()
            if kind == "time" and name in columns and not is_time(columns[name])
        ]
    return problems


def _find_files(raw: Path, problems: list[str]) -> list[RawFile]:
    """The data files of the landing folder, by table and name; other files are none of ours."""
    if not _is_folder(raw) and not raw.exists():
        problems.append(f"{raw}: there is no such folder; it should hold the raw files")
        return []
    found = []
    for path in _entries(raw, problems):
        name = path.name.lower()
        table = next((table for table in LAYOUT if name.startswith(table)), None)
        if table is None:
            continue
        is_folder = _is_folder(path) and (name == table or DATA_FILE.search(name))
        for file in _walk(path, problems) if is_folder else [path]:
            if _OTHER_DATA.search(file.name):
                problems.append(f"{file}: is in none of the formats that can be read: {FORMATS}")
            if not DATA_FILE.search(file.name) or _is_folder(file):
                continue
            try:
                stat = file.stat()
            except OSError as error:
                problems.append(f"{file}: cannot be read: {error.strerror}")
                continue
            place = file.relative_to(raw).as_posix()
            found.append(RawFile(table, place, file, stat.st_size, stat.st_mtime_ns))
    return sorted(found, key=lambda file: (list(LAYOUT).index(file.table), file.name))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # not even that may be known; opening it tells why
        return False


def _entries(folder: Path, problems: list[str]) -> list[Path]:
    """What a folder holds; names that begin with a dot or an underscore belong to other tools."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] not in "._")
    except OSError as error:
        problems.append(f"{folder}: cannot be read: {error.strerror}")
        return []


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    for path in _entries(folder, problems):
        if _is_folder(path) and not path.is_symlink():
            yield from _walk(path, problems)
        else:
            yield path


def _changed(
    found: Iterable[RawFile], ledger: Mapping[tuple[str, str], _Known], problems: list[str]
) -> list[RawFile]:
    """Tell the known files with other content; give those that were only touched."""
    touched = []
    for file in found:
        known = ledger.get((file.table, file.name), None)
        if known is None or (file.size, file.modified_ns) == (known.size, known.modified_ns):
            continue
        change = f"{known.size} bytes then, {file.size} now"
        if file.size == known.size:
            try:
                if _content_hash(file) == known.content_hash:
                    touched.append(file)
                    continue
            except InputError as error:
                problems += error.problems
                continue
            change = "the same size, other content"
        problems.append(
            f"{file.path}: has changed since it was loaded ({change}); restore it, and bring new "
            "rows in a new file"
        )
    return touched


def _content_hash(file: RawFile) -> str:
    try:
        with file.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file.path}: cannot be read: {error.strerror}") from None


def _described(
    connection: duckdb.DuckDBPyConnection,
    new: Iterable[RawFile],
    views: set[str],
    problems: list[str],
) -> Iterator[RawFile]:
    for file in new:
        if file.table in views:
            problems.append(f"{file.path}: raw.{file.table} is a view, which takes no files")
        try:
            yield describe(connection, file)
        except InputError as error:
            problems += error.problems


def _prepare_tables(
    connection: duckdb.DuckDBPyConnection, plan: LandingPlan
) -> dict[str, dict[str, str]]:
    """Make or widen the raw tables and the ledger; give columns and types of the raw tables."""
    connection.execute("create schema if not exists raw")
    connection.execute("create schema if not exists ops")
    connection.execute(
        "create table if not exists ops.landed_files (load_id bigint, table_name varchar, "
        "file_name varchar, size_bytes bigint, modified_ns bigint, content_hash varchar, "
        "row_count bigint)"
    )
    types: dict[str, dict[str, str]] = {}
    for table, layout in LAYOUT.items():
        own = {name: TYPES[kind] for name, kind in layout.items()} | OWN_COLUMNS
        if table not in plan.tables:
            _create_table(connection, table, own)
        types[table] = dict(plan.tables.get(table, own))
        arriving = plan.arriving(table)
        for name in [*arriving, *OWN_COLUMNS] if arriving else []:
            if name not in types[table]:
                types[table][name] = own.get(name, "VARCHAR")
                connection.execute(
                    f"alter table raw.{table} add column {quoted(name)} {types[table][name]}"
                )
    return types


def _create_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]
) -> None:
    typed = ", ".join(f"{quoted(name)} {type_}" for name, type_ in columns.items())
    connection.execute(f"create table raw.{table} ({typed})")
    # Rows of an earlier table are gone, so none of its files is loaded any more.
    connection.execute("delete from ops.landed_files where table_name = $table", {"table": table})


def _load_file(
    connection: duckdb.DuckDBPyConnection, file: RawFile, types: Mapping[str, str]
) -> int:
    """Insert a file's rows and its ledger row, and count the rows; the caller commits."""
    content_hash = _content_hash(file)
    names = [quoted(name) for name in (*(c.target for c in file.columns), *OWN_COLUMNS)]
    load_id = _number(connection, "select coalesce(max(load_id), 0) + 1 from ops.landed_files", {})
    try:
        rows = _number(
            connection,
            f"insert into raw.{file.table} ({', '.join(names)}) {select_rows(file, types)}",
            {"path": file.pattern, "load_id": load_id},
        )
    except duckdb.ConstraintException as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{file.path}: does not fit into raw.{file.table}: {why}") from None
    stat = file.path.stat()
    if (stat.st_size, stat.st_mtime_ns) != (file.size, file.modified_ns):
        raise InputError(f"{file.path}: changed while it was read; run again when it is complete")
    _note_loaded(connection, file, load_id, content_hash, rows)
    return rows


def _note_loaded(
    connection: duckdb.DuckDBPyConnection,
    file: RawFile,
    load_id: int,
    content_hash: str,
    rows: int,
) -> None:
    connection.execute(
        "insert into ops.landed_files by name select $load_id as load_id, $table as table_name, "
        "$name as file_name, $size as size_bytes, $modified_ns as modified_ns, "
        "$content_hash as content_hash, $rows as row_count",
        {
            "load_id": load_id,
            "table": file.table,
            "name": file.name,
            "size": file.size,
            "modified_ns": file.modified_ns,
            "content_hash": content_hash,
            "rows": rows,
        },
    )


def _number(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, str | int]
) -> int:
    return int(connection.execute(query, dict(parameters)).fetchall()[0][0])
