"""Landing: raw files into the tables of schema `raw`, each file exactly once.

What belongs here: finding files, the ledger of what was loaded, making and widening the raw tables,
and the load. What does not: what is inside a file (`raw_files`), cleaning values, dropping rows:
none but those of erased people (`suppression`).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

import duckdb

from orchestration import suppression
from orchestration.errors import InputError, RunError
from orchestration.raw_files import (
    DATA_FILE,
    FORMATS,
    IDENTIFYING,
    LAYOUT,
    OWN_COLUMNS,
    REQUIRED,
    RESERVED,
    RESERVED_NAME,
    TIME_TYPES,
    TYPES,
    RawFile,
    describe,
    is_nested,
    is_text_or_whole,
    is_time,
    listed,
    select_rows,
)
from orchestration.runs import prepare_table
from orchestration.sql import identifier

__all__ = [
    "LAYOUT",
    "OWN_COLUMNS",
    "REQUIRED",
    "LandingPlan",
    "LandingResult",
    "RawFile",
    "TableLanding",
    "check_nothing_is_lost",
    "inspect",
    "last_load",
    "load",
    "prepare_ledger",
    "raw_tables",
]

NDJSON_FILE = re.compile(r"\.(ndjson|jsonl)$", re.IGNORECASE)
"""Without a byte it is right, and has no rows; a CSV file has at least its header."""

_OTHER_DATA = re.compile(
    r"\.((json|tsv|avro|orc|xlsx?)(\.gz)?|parquet\.gz|zip|tar|tgz|zst|bz2|xz|lz4|snappy)$",
    re.IGNORECASE,
)


LEDGER = {
    "load_id": ("bigint", "Number of the load, in the order in which files were loaded."),
    "table_name": ("varchar", "The raw table: tracks, identifies or groups."),
    "file_name": ("varchar", "Path of the file in the landing folder."),
    "size_bytes": ("bigint", "Size of the file."),
    "modified_ns": ("bigint", "When it was last modified, in nanoseconds since 1970, UTC."),
    "content_hash": ("varchar", "SHA-256 of its content."),
    "row_count": ("bigint", "Rows that it brought to the raw table."),
    "suppressed_count": ("bigint default 0", "Rows that were left out as an erased person's."),
}


@dataclass(frozen=True)
class LandingPlan:
    """What a load would do; made by `inspect`.

    Attributes:
        files: New files, by table and name.
        touched: Known files with a new modification time and the same content.
        rewritten: Known files that lost rows of erased people and nothing else.
        known_count: How many files of the folder are loaded already.
        tables: Columns (lower case) and types of the raw tables that exist.
    """

    files: tuple[RawFile, ...]
    touched: tuple[RawFile, ...]
    rewritten: tuple[RawFile, ...]
    known_count: int
    tables: Mapping[str, Mapping[str, str]]

    def columns(self, table: str) -> list[str]:
        """The columns, lower case, that a raw table has after the load, or that are null."""
        there = self.tables.get(table, {})
        return list(dict.fromkeys([*there, *LAYOUT[table], *self.arriving(table)]))

    def arriving(self, table: str) -> list[str]:
        """The columns that the new files of a raw table bring."""
        found = [c.target for file in self.files if file.table == table for c in file.columns]
        return list(dict.fromkeys(found))


@dataclass
class TableLanding:
    """How much of one raw table a load brought, and how many rows of erased people it left out."""

    files: int = 0
    rows: int = 0
    suppressed: int = 0


@dataclass(frozen=True)
class LandingResult:
    """What a load did, by raw table; a table without new files stands with zeros."""

    tables: dict[str, TableLanding] = field(
        default_factory=lambda: {table: TableLanding() for table in LAYOUT}
    )


def inspect(
    raw: Path | None, connection: duckdb.DuckDBPyConnection, *, is_read_through: bool = True
) -> LandingPlan:
    """Look at the landing folder and the raw tables without writing anything.

    New files are read once from beginning to end, so that whatever is wrong with one is told before
    any file is loaded; whoever loads them next may leave that to the load, where a damaged Parquet
    file is noticed as well. A known file is taken as unchanged while its size and modification time
    are those of the ledger; otherwise its content is hashed and compared. So a file that was
    rewritten at the same length and given its old modification time is not noticed. Where somebody
    was erased, a file may be rewritten without their rows: it is compared with what was loaded.

    Args:
        raw: The landing folder; None for tables only. A folder that does not exist is all right
            where `raw.tracks` exists and nothing was ever loaded from files.
        connection: The warehouse, or an empty database where there is none yet; may be read-only.
        is_read_through: Whether new Parquet files are read to their end.

    Returns:
        The new files and what is there already.

    Raises:
        InputError: Everything that is wrong, one line each.
    """
    connection.execute("set TimeZone = 'UTC'")
    tables, views = raw_tables(connection)
    # A raw table that is gone took its rows with it: its files are new again.
    ledger = {key: known for key, known in _ledger(connection).items() if key[0] in tables}
    problems = _wrong_tables(tables)
    found: list[RawFile] = []
    if raw is not None and (raw.exists() or ledger or "tracks" not in tables):
        found = _find_files(raw, problems)
    if "tracks" not in tables and not problems and all(file.table != "tracks" for file in found):
        folder = f"{raw}: there is no tracks file or folder ({FORMATS}), and " if raw else ""
        problems.append(f"{folder}the warehouse has no table raw.tracks")
    touched, changed = _changed(found, ledger, problems)
    rewritten = _rewritten(connection, changed, ledger, tables, problems)
    new = [file for file in found if (file.table, file.name) not in ledger]
    described = list(_described(connection, new, views, problems, is_read_through=is_read_through))
    if problems:
        raise InputError(problems)
    return LandingPlan(
        tuple(described), tuple(touched), tuple(rewritten), len(found) - len(new), tables
    )


def check_nothing_is_lost(plan: LandingPlan, published: Path) -> None:
    """Where the raw tables are gone, the files they came from are there to be loaded again.

    Args:
        plan: What a load would do.
        published: The DuckDB file of the newest version; may not be there.

    Raises:
        InputError: Some are not, or rows of erased people would come in again.
    """
    if plan.tables or not published.exists():
        return
    try:
        with closing(duckdb.connect(str(published), read_only=True)) as connection:
            known = connection.execute(
                "select table_name, file_name, suppressed_count from ops.landed_files"
                " where row_count + coalesce(suppressed_count, 0) > 0 order by all"
            ).fetchall()
    except duckdb.Error:
        return
    here = {(file.table, file.name) for file in plan.files}
    gone = [name for table, name, _ in known if (table, name) not in here]
    problems = []
    if gone:
        others = f" and {len(gone) - 1:,} more" if gone[1:] else ""
        problems.append(f"rows of {gone[0]}{others} would be lost: the landing folder lacks them")
    if any(suppressed for *_, suppressed in known):
        problems.append("the erased would come back until they are erased again")
    if problems:
        problems.append("put it back, or --full-refresh makes everything of what is there")
        raise InputError([f"the work file is gone: {problem}" for problem in problems])


def load(connection: duckdb.DuckDBPyConnection, plan: LandingPlan) -> LandingResult:
    """Load the new files of a plan: all of them, or none.

    Rows and ledger are written in one transaction, so a process that dies at any moment leaves
    either every file of the plan loaded and known, or none. Raw tables that are not there are
    created. Values are brought to the type of their column; one that cannot be becomes null and is
    kept in `_unparsed`. Rows of erased people do not get into a raw table; they are counted.

    Args:
        connection: The warehouse, writable. Its session time zone is set to UTC.
        plan: What `inspect` found on this connection.

    Returns:
        Files and rows by raw table.

    Raises:
        InputError: A file is damaged or changed after it was inspected, or breaks a constraint of
            its table.
        RunError: The warehouse could not be written.
    """
    result = LandingResult()
    if not (plan.files or plan.touched or plan.rewritten or LAYOUT.keys() - plan.tables.keys()):
        return result
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("begin transaction")
    reader = ThreadPoolExecutor(max_workers=1)
    try:
        # Ahead of the load: what was hashed need not be waited for when it is loaded.
        hashes = {file: reader.submit(_content_hash, file) for file in plan.files}
        last_load = prepare_ledger(connection)
        types = _prepare_tables(connection, plan)
        arriving = {file: _rows_of(file, types[file.table]) for file in plan.files}
        is_guarded = _resolve(connection, [*arriving.values()], types)
        for load_id, (file, rows) in enumerate(arriving.items(), start=last_load + 1):
            loaded, suppressed = _load_file(
                *(connection, file, rows, load_id),
                content_hash=hashes[file].result(),
                is_guarded=is_guarded,
            )
            result.tables[file.table].files += 1
            result.tables[file.table].rows += loaded
            result.tables[file.table].suppressed += suppressed
        salt = suppression.read_salt(connection)
        if is_guarded and salt:
            suppression.remember(connection, salt)
        for file in plan.touched:
            _note_known(connection, file, {"modified_ns": file.modified_ns})
        again = {file: _rows_of(file, types[file.table]) for file in plan.rewritten}
        if again:
            _resolve(connection, [*again.values()], types)
        for file, rows in again.items():
            _note_rewritten(connection, file, rows)
        suppression.forget(connection)
        connection.execute("commit")
    except BaseException as error:
        with suppress(duckdb.Error):
            connection.execute("rollback")
        if isinstance(error, duckdb.Error):
            why = str(error).splitlines()[0]
            raise RunError(f"the raw tables could not be written: {why}") from error
        raise
    finally:
        reader.shutdown(cancel_futures=True)
    return result


@dataclass(frozen=True)
class _Known:
    size: int
    modified_ns: int
    content_hash: str
    load_id: int


def _rows_of(file: RawFile, types: Mapping[str, str]) -> suppression.Rows:
    """A file's rows with the names and types of its columns, then `OWN_COLUMNS`."""
    own = {c.target: TYPES[LAYOUT[file.table].get(c.target, "text")] for c in file.columns}
    columns = {name: types.get(name, kind) for name, kind in (own | OWN_COLUMNS).items()}
    names = ", ".join(identifier(name) for name in columns)
    sql = f"select * from ({select_rows(file, types)}) as landed({names})"
    return suppression.Rows(file.table, columns, sql, {"path": file.pattern, "load_id": 0})


def _resolve(
    connection: duckdb.DuckDBPyConnection,
    rows: list[suppression.Rows],
    tables: Mapping[str, Mapping[str, str]],
) -> bool:
    """Find the rows of erased people; who else used their devices is told by the raw tables too."""
    there = [suppression.Rows.of_table(table, types) for table, types in tables.items()]
    return suppression.resolve(connection, rows, there)


def _rewritten(
    connection: duckdb.DuckDBPyConnection,
    changed: Mapping[RawFile, str],
    ledger: Mapping[tuple[str, str], _Known],
    tables: Mapping[str, Mapping[str, str]],
    problems: list[str],
) -> list[RawFile]:
    """Give the changed files whose rows are those that were loaded; tell the others."""
    if not changed or suppression.read_salt(connection) is None:
        problems += changed.values()
        return []
    described = list(_described(connection, changed, set(), problems))
    rows = {file: _rows_of(file, tables[file.table]) for file in described}
    _resolve(connection, [*rows.values()], tables)
    same = []
    for file, told in changed.items():
        found = next((f for f in described if (f.table, f.name) == (file.table, file.name)), None)
        if found is None:
            continue
        load_id = ledger[found.table, found.name].load_id
        if _is_what_was_loaded(connection, rows[found], tables[found.table], load_id):
            same.append(found)
        else:
            problems.append(f"{told}; only rows of the erased may be taken out of it")
    suppression.forget(connection)
    return same


def _is_what_was_loaded(
    connection: duckdb.DuckDBPyConnection,
    rows: suppression.Rows,
    columns: Mapping[str, str],
    load_id: int,
) -> bool:
    """Whether a file without the rows of the erased is what the raw table holds of its load."""
    if not rows.types.keys() - OWN_COLUMNS.keys() <= columns.keys():
        return False
    names = [name for name in columns if name != "_load_id"]
    of_file = ", ".join(identifier(name) if name in rows.types else "null" for name in names)
    now = f"select {of_file} from ({rows.without_erased()})"
    then = (
        f"select {', '.join(map(identifier, names))} from raw.{rows.table} where _load_id = $known"
    )
    differing = f"(({now}) except all ({then})) union all (({then}) except all ({now})) limit 1"
    return not connection.execute(differing, {**rows.parameters, "known": load_id}).fetchall()


def _ledger(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], _Known]:
    try:
        rows = connection.execute(
            "select table_name, file_name, size_bytes, modified_ns, content_hash, load_id "
            "from ops.landed_files"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {(table, name): _Known(*known) for table, name, *known in rows}


def raw_tables(
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
        problems += [f"raw.{table}: {RESERVED}" for name in columns if name == RESERVED_NAME]
        problems += [
            f"raw.{table}: the column {name} holds {columns[name]}; an id or a name is text or a "
            "whole number"
            for name in sorted(IDENTIFYING & columns.keys())
            if not is_text_or_whole(columns[name])
        ]
        if is_nested(columns.get("properties", "VARCHAR")):
            problems.append(
                f"raw.{table}: the column properties holds {columns['properties']}; it should hold "
                "JSON text"
            )
    return problems


def _find_files(raw: Path, problems: list[str]) -> list[RawFile]:
    """The data files of the landing folder, by table and name; other files are none of ours."""
    if not _is_folder(raw) and not raw.exists():
        problems.append(f"{raw}: no such folder of raw data")
        return []
    found = []
    seen = {raw.resolve()}
    for path in _entries(raw, problems):
        name = path.name.lower()
        table = next((table for table in LAYOUT if name.startswith(table)), None)
        if table is None:
            continue
        is_folder = _is_folder(path) and (name == table or DATA_FILE.search(name))
        for file in _walk(path, problems, seen) if is_folder else [path]:
            if _OTHER_DATA.search(file.name):
                problems.append(f"{file}: is in none of the formats that can be read: {FORMATS}")
            if not DATA_FILE.search(file.name) or _is_folder(file):
                continue
            try:
                stat = file.stat()
            except OSError as error:
                problems.append(f"{file}: cannot be read: {error.strerror}")
                continue
            if not S_ISREG(stat.st_mode):
                problems.append(f"{file}: is no file but a pipe, a socket or a device")
                continue
            if not stat.st_size and NDJSON_FILE.search(file.name):
                continue  # no rows, or not yet
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


def _walk(folder: Path, problems: list[str], seen: set[Path]) -> Iterator[Path]:
    """The files of a folder and of those in it, linked ones too.

    A link into or around a folder that is read anyway (one of `seen`) is not followed.
    """
    for path in _entries(folder, problems):
        if not _is_folder(path):
            yield path
            continue
        if path.is_symlink():
            target = path.resolve()
            if any(target.is_relative_to(f) or f.is_relative_to(target) for f in seen):
                continue
            seen.add(target)
        yield from _walk(path, problems, seen)


def _changed(
    found: Iterable[RawFile], ledger: Mapping[tuple[str, str], _Known], problems: list[str]
) -> tuple[list[RawFile], dict[RawFile, str]]:
    """Give the known files that were only touched; and those that changed, with what to say."""
    touched, changed = [], {}
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
        changed[file] = (
            f"{file.path}: has changed since it was loaded ({change}); restore it, and bring new "
            "rows in a new file, or rename it: rows with known ids count once"
        )
    return touched, changed


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
    *,
    is_read_through: bool = True,
) -> Iterator[RawFile]:
    for file in new:
        if file.table in views:
            problems.append(f"{file.path}: raw.{file.table} is a view, which takes no files")
        try:
            yield describe(connection, file, is_read_through=is_read_through)
        except InputError as error:
            problems += error.problems


def prepare_ledger(connection: duckdb.DuckDBPyConnection) -> int:
    """Make the ledger where there is none; give the number of the last load that ever was."""
    prepare_table(connection, "landed_files", LEDGER, "One row per raw file that was loaded.")
    return last_load(connection)


def last_load(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the last load that ever was, 0 if none.

    Rows of the ledger go with their table, so the record of runs is asked, too.
    """
    there = connection.execute(
        "select table_name from duckdb_tables()"
        " where database_name = current_database() and schema_name = 'ops'"
    ).fetchall()
    loads = ["select 0 as number"]
    if ("landed_files",) in there:
        loads.append("select load_id from ops.landed_files")
    if ("runs",) in there:
        loads.append("select load_count from ops.runs")
    return _number(connection, f"select max(number) from ({' union all '.join(loads)})", {})


def _prepare_tables(
    connection: duckdb.DuckDBPyConnection, plan: LandingPlan
) -> dict[str, dict[str, str]]:
    """Make or widen the raw tables; give their columns and types."""
    connection.execute("create schema if not exists raw")
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
                    f"alter table raw.{table} add column {identifier(name)} {types[table][name]}"
                )
    return types


def _create_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]
) -> None:
    # Ids differ from row to row: looking for what they share takes twice as long, for no gain.
    how = {"id": "using compression zstd"}
    typed = ", ".join(
        f"{identifier(name)} {type_} {how.get(name, '')}" for name, type_ in columns.items()
    )
    connection.execute(f"create table raw.{table} ({typed})")
    # Rows of an earlier table are gone, so none of its files is loaded any more.
    connection.execute("delete from ops.landed_files where table_name = $table", {"table": table})


def _load_file(
    connection: duckdb.DuckDBPyConnection,
    file: RawFile,
    rows: suppression.Rows,
    load_id: int,
    *,
    content_hash: str,
    is_guarded: bool,
) -> tuple[int, int]:
    """Insert a file's rows and its ledger row; the caller commits.

    Returns:
        The number of rows inserted, and of those left out because they are an erased person's.
    """
    names = [identifier(name) for name in rows.types]
    suppressed = _count_erased(connection, rows) if is_guarded else 0
    kept = rows.without_erased() if is_guarded else rows.sql
    try:
        loaded = _number(
            connection,
            f"insert into raw.{file.table} ({', '.join(names)}) {kept}",
            {"path": file.pattern, "load_id": load_id},
        )
    except duckdb.ConstraintException as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{file.path}: does not fit into raw.{file.table}: {why}") from None
    except duckdb.Error:
        describe(connection.cursor(), file)  # if it is the file, this tells
        raise
    _check_unchanged(file)
    _note_loaded(
        connection,
        file,
        load_id=load_id,
        content_hash=content_hash,
        rows=loaded,
        suppressed=suppressed,
    )
    return loaded, suppressed


def _check_unchanged(file: RawFile) -> None:
    stat = file.path.stat()
    if (stat.st_size, stat.st_mtime_ns) != (file.size, file.modified_ns):
        raise InputError(f"{file.path}: changed while it was read; run again when it is complete")


def _count_erased(connection: duckdb.DuckDBPyConnection, rows: suppression.Rows) -> int:
    return _number(connection, f"select count(*) from ({rows.of_erased()})", rows.parameters)


def _note_rewritten(
    connection: duckdb.DuckDBPyConnection, file: RawFile, rows: suppression.Rows
) -> None:
    told: dict[str, str | int] = {
        "size_bytes": file.size,
        "modified_ns": file.modified_ns,
        "content_hash": _content_hash(file),
        "suppressed_count": _count_erased(connection, rows),
    }
    _check_unchanged(file)
    _note_known(connection, file, told)


def _note_known(
    connection: duckdb.DuckDBPyConnection, file: RawFile, told: Mapping[str, str | int]
) -> None:
    """Bring some columns of a file's ledger row up to date."""
    connection.execute(
        f"update ops.landed_files set {', '.join(f'{name} = ${name}' for name in told)} "
        "where table_name = $table and file_name = $name",
        {**told, "table": file.table, "name": file.name},
    )


def _note_loaded(
    connection: duckdb.DuckDBPyConnection,
    file: RawFile,
    *,
    load_id: int,
    content_hash: str,
    rows: int,
    suppressed: int,
) -> None:
    connection.execute(
        "insert into ops.landed_files by name select $load_id as load_id, $table as table_name, "
        "$name as file_name, $size as size_bytes, $modified_ns as modified_ns, "
        "$content_hash as content_hash, $rows as row_count, $suppressed as suppressed_count",
        {
            "load_id": load_id,
            "table": file.table,
            "name": file.name,
            "size": file.size,
            "modified_ns": file.modified_ns,
            "content_hash": content_hash,
            "rows": rows,
            "suppressed": suppressed,
        },
    )


def _number(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, str | int]
) -> int:
    return int(connection.execute(query, dict(parameters)).fetchall()[0][0])
