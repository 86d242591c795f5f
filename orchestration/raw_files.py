"""Raw files: what is in a file of the landing folder, and the query that reads it as raw rows.

What belongs here: the layout of the raw tables, opening the formats, telling what is wrong with a
file, and bringing its columns to the types of the layout. What does not: which files there are,
which are loaded already, and writing anything.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

import duckdb

from orchestration.errors import InputError
from orchestration.sql import identifier, literal

Kind = Literal["text", "time", "integer"]

LAYOUT: dict[str, dict[str, Kind]] = {
    "tracks": {
        "id": "text",
        "event": "text",
        "user_id": "text",
        "anonymous_id": "text",
        "context_group_id": "text",
        "timestamp": "time",
        "received_at": "time",
        "properties": "text",
    },
    "identifies": {
        "id": "text",
        "user_id": "text",
        "anonymous_id": "text",
        "timestamp": "time",
        "received_at": "time",
        "email": "text",
        "name": "text",
        "role": "text",
        "created_at": "time",
    },
    "groups": {
        "id": "text",
        "group_id": "text",
        "user_id": "text",
        "timestamp": "time",
        "received_at": "time",
        "name": "text",
        "plan": "text",
        "status": "text",
        "created_at": "time",
        "trial_ends_at": "time",
        "contract_started_at": "time",
        "contract_ends_at": "time",
        "canceled_at": "time",
        "seats": "integer",
        "mrr": "integer",
    },
}
"""The columns of each raw table; further columns of identifies and groups are text traits."""

REQUIRED = {
    "tracks": ("id", "event", "timestamp"),
    "identifies": ("id", "timestamp"),
    "groups": ("id", "group_id", "timestamp"),
}

IDENTIFYING = {"id", "event", "user_id", "anonymous_id", "context_group_id", "group_id"}
"""The columns by which rows, events, people and accounts are told apart."""

OWN_COLUMNS = {"_unparsed": "VARCHAR", "_load_id": "BIGINT"}
"""What landing adds: JSON text of the values that could not be read, and the load of the row."""
RESERVED_NAME = "rowid"
RESERVED = (
    f"the column {RESERVED_NAME} has the name that DuckDB has for the places of rows; rename it"
)

FORMATS = "parquet, csv, ndjson and jsonl, the last three also with .gz"

TYPES: dict[Kind, str] = {"text": "VARCHAR", "time": "TIMESTAMP", "integer": "BIGINT"}
DATA_FILE = re.compile(r"\.(parquet|(csv|ndjson|jsonl)(\.gz)?)$", re.IGNORECASE)
TIME_TYPES = "a time is a timestamp, a date or text"
_MANY = 20
_LONGEST_CELL = 2**31 - 1
_LONGEST_ROW = 16 * 2**20
_MOST_WHOLE = 2**53  # up to here a float tells whole numbers apart


@dataclass(frozen=True)
class Column:
    """A column of a file on its way into a raw table.

    Attributes:
        source: Its name as the reader gives it.
        target: Its name in the raw table.
        type: The DuckDB type with which it is read.
    """

    source: str
    target: str
    type: str


@dataclass(frozen=True)
class RawFile:
    """A file of the landing folder.

    Attributes:
        table: The raw table that it belongs to.
        name: Its path inside the landing folder, which is its name in the ledger.
        path: Where it is.
        size: In bytes, when it was looked at.
        modified_ns: When it was last modified, in nanoseconds since the epoch.
        columns: What of it goes into the table; empty while nobody has looked inside.
        reader: The table function that reads it, its path bound as `$path`.
    """

    table: str
    name: str
    path: Path
    size: int
    modified_ns: int
    columns: tuple[Column, ...] = ()
    reader: str = ""

    @property
    def pattern(self) -> str:
        """The path as a glob pattern that matches nothing but itself."""
        return re.sub(r"([*?\[])", r"[\1]", str(self.path))


def describe(
    connection: duckdb.DuckDBPyConnection, file: RawFile, *, is_read_through: bool = True
) -> RawFile:
    """Give a file its columns and its reader.

    Args:
        connection: Any DuckDB session in the time zone UTC; nothing is written.
        file: A file as found.
        is_read_through: Read it once from beginning to end; else that is done only with text, where
            any line may be wrong.

    Raises:
        InputError: The file cannot be read, or does not have the columns of its table.
    """
    try:
        if file.path.name.lower().endswith(".gz"):
            _check_gzip(file)
        reader, names = _open(connection, file)
        columns = _match(file, names)
        described = replace(file, columns=columns, reader=reader)
        if is_read_through or _suffix(file.path.name) != ".parquet":
            selected = select_rows(described, {})
            connection.execute(
                f"select bit_xor(hash(landed)) from ({selected}) as landed",
                {"path": file.pattern, "load_id": 0},
            ).fetchall()
    except (OSError, EOFError, zlib.error, UnicodeError, csv.Error, duckdb.Error) as error:
        raise InputError(_unreadable(file, error)) from None
    return described


def _open(connection: duckdb.DuckDBPyConnection, file: RawFile) -> tuple[str, list[Column]]:
    """The table function that reads a file, and all columns of the file."""
    name = file.path.name.lower()
    if name.endswith(".parquet"):
        reader = "read_parquet($path, binary_as_string = true, hive_partitioning = false)"
        described = connection.execute(
            f"select * from {reader} limit 0", {"path": file.pattern}
        ).description
        columns = [_column(source, source, str(t.id)) for source, t, *_ in described]
        return reader, _as_written(connection, file, columns)
    compression = "gzip" if name.endswith(".gz") else "none"
    options = f"compression = '{compression}', hive_partitioning = false"
    if ".csv" in _suffix(name):
        names = _csv_header(file)
        columns = [_column(f"c{i}", name, "varchar") for i, name in enumerate(names)]
        dialect = """auto_detect = false, header = true, delim = ',', quote = '"', escape = '"'"""
        sizes = f"max_line_size = {_LONGEST_ROW}, buffer_size = {2 * _LONGEST_ROW}"
        return f"read_csv($path, {dialect}, {sizes}, {options}, {_text_columns(columns)})", columns
    keys = connection.execute(
        "select distinct key from "
        "(select unnest(json_keys(json)) as key "
        f"from read_ndjson_objects($path, {options})) order by key",
        {"path": file.pattern},
    ).fetchall()
    columns = [_column(key, key, "varchar") for (key,) in keys if key]
    if not columns:  # no object in it, which is a quiet hour and not an error
        columns = [_column(key, key, "varchar") for key in LAYOUT[file.table]]
    return f"read_ndjson($path, {options}, {_text_columns(columns)})", columns


def _as_written(
    connection: duckdb.DuckDBPyConnection, file: RawFile, columns: list[Column]
) -> list[Column]:
    """Columns of Parquet by the names in the file: DuckDB calls a second `id` or `ID` `ID_1`."""
    if not any(re.search(r"_\d+$", column.source) for column in columns):
        return columns
    told = connection.execute(
        "select name from parquet_schema($path)", {"path": file.pattern}
    ).fetchall()
    written = {name for (name,) in told}
    return [
        column
        if column.source in written
        else _column(column.source, re.sub(r"_\d+$", "", column.source), column.type)
        for column in columns
    ]


def _column(source: str, name: str, type_id: str) -> Column:
    return Column(source, name.strip().lower(), type_id)


def _text_columns(columns: Iterable[Column]) -> str:
    pairs = ", ".join(f"{literal(column.source)}: 'VARCHAR'" for column in columns)
    return f"columns = {{{pairs}}}"


def _suffix(name: str) -> str:
    found = DATA_FILE.search(name)
    return found.group().lower() if found else ""


def _csv_header(file: RawFile) -> list[str]:
    with _binary(file) as content:
        csv.field_size_limit(_LONGEST_CELL)
        text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
        header = next(csv.reader(text, strict=True), [])
    if not header:
        raise InputError(f"{file.path}:1: there is no header")
    if wrong := wrong_separator(header):
        raise InputError(f"{file.path}:1: {wrong}")
    return header


def wrong_separator(header: Sequence[str]) -> str | None:
    """What is wrong with a CSV header whose only cell holds another separator, if it is so."""
    found = re.search(r"[;\t|]", header[0]) if len(header) == 1 else None
    if not found:
        return None
    sign = "tabs" if found.group() == "\t" else f"'{found.group()}'"
    return f"cells are separated by {sign}, not by commas"


def _check_gzip(file: RawFile) -> None:
    """Reads to the checksum at the end, which the database does not look at."""
    with _binary(file) as content:
        while content.read(1 << 20):
            pass


def _binary(file: RawFile) -> IO[bytes]:
    if file.path.name.lower().endswith(".gz"):
        return gzip.open(file.path)  # type: ignore[return-value]  # a binary reader all the same
    return file.path.open("rb")


def _match(file: RawFile, found: Iterable[Column]) -> tuple[Column, ...]:
    """The columns that go into the raw table, if they can."""
    layout = LAYOUT[file.table]
    columns = [
        column
        for column in found
        if column.target
        and column.target not in OWN_COLUMNS
        and (column.target in layout or file.table != "tracks")
    ]
    targets = [column.target for column in columns]
    place = f"{file.path}: table {file.table}"
    problems = [
        f"{place}: the required column {name} is missing{listed(c.target for c in found)}"
        for name in REQUIRED[file.table]
        if name not in targets
    ]
    problems += [
        f"{place}: the column {name} is there more than once{_spelled(columns, name)}"
        for name in dict.fromkeys(targets)
        if targets.count(name) > 1
    ]
    problems += [f"{place}: {RESERVED}" for name in targets if name == RESERVED_NAME]
    for column in columns:
        kind = layout.get(column.target, "text")
        if kind == "time" and not is_time(column.type):
            problems.append(
                f"{place}: the column {column.target} holds {column.type}; {TIME_TYPES}"
            )
        if kind == "integer" and column.type not in _NUMBERS:
            problems.append(
                f"{place}: the column {column.target} holds {column.type}; it should hold numbers"
            )
    if problems:
        raise InputError(problems)
    return tuple(columns)


def _spelled(columns: Iterable[Column], name: str) -> str:
    """The end of a message about keys of a text file that differ only in case or blanks."""
    spelled = [column.source for column in columns if column.target == name]
    is_key = all(source.strip().lower() == name for source in spelled)
    return f": as {' and '.join(map(repr, spelled))}" if is_key else ""


def listed(columns: Iterable[str]) -> str:
    """The end of a message about a missing column: those that are there."""
    names = [name for name in columns if name not in OWN_COLUMNS]
    more = ", …" if len(names) > _MANY else ""
    return f"; there are {', '.join(names[:_MANY])}{more}" if names else ""


_NUMBERS = frozenset(
    (
        "varchar", "null", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint",
        "usmallint", "uinteger", "ubigint", "uhugeint", "float", "double", "decimal",
    )
)  # fmt: skip
_ZONED = frozenset(("timestamp with time zone", "timestamptz_ns"))
_NESTED = frozenset(("struct", "list", "map", "array", "union", "variant"))


def is_time(type_: str) -> bool:
    """Whether times can be read from a DuckDB type."""
    return type_.lower().startswith(("timestamp", "date", "varchar", "null"))


def is_text_or_whole(type_: str) -> bool:
    """Whether a DuckDB type has one text per value: 7 and 7.0 are the same number."""
    is_whole_decimal = type_.endswith(",0)")
    return is_whole_decimal or not (
        type_.startswith(("FLOAT", "DOUBLE", "DECIMAL")) or is_nested(type_)
    )


def is_nested(type_: str) -> bool:
    """Whether a DuckDB type holds values in values."""
    return type_.endswith("]") or type_.startswith(("STRUCT", "MAP", "UNION"))


def _unreadable(file: RawFile, error: Exception) -> str:
    """One line: the file, the line where there is one, and why."""
    if isinstance(error, duckdb.Error):
        broken = _broken_line(file)
        if broken is not None:
            line, why = broken
            return f"{file.path}:{line}: {why}"
        why = str(error).splitlines()[0]
    elif isinstance(error, UnicodeError):
        why = "it is not UTF-8 text"
    else:
        why = getattr(error, "strerror", None) or str(error)
    return f"{file.path}: cannot be read: {why}"


def _broken_line(file: RawFile) -> tuple[int, str] | None:
    """The first line of a text file that breaks its format, which the database does not number."""
    suffix = _suffix(file.path.name)
    if suffix == ".parquet":
        return None
    try:
        with _binary(file) as content:
            check = _broken_csv if ".csv" in suffix else _broken_ndjson
            return check(content)
    except (OSError, EOFError, zlib.error):
        return None


def _broken_csv(content: IO[bytes]) -> tuple[int, str] | None:
    number = size = 0
    raw = b""
    ends: set[bool] = set()
    mixed: tuple[int, str] | None = None

    def lines() -> Iterator[str]:
        nonlocal number, raw, size
        for number, raw in enumerate(content, start=1):
            size += len(raw)
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")

    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines(), strict=True)
    width = 0
    while True:
        begin, size = reader.line_num + 1, 0
        try:
            cells = next(reader)
        except StopIteration:
            return mixed
        except UnicodeDecodeError:
            return number, "is not UTF-8 text"
        except csv.Error as error:
            return begin, f"is not CSV: {error}"
        if raw.endswith(b"\n"):
            ends.add(raw.endswith(b"\r\n"))
            if not mixed and len(ends) > 1:
                mixed = begin, "ends unlike the lines before: some with CR and LF, some with LF"
        width = width or len(cells)
        fault = _row_fault(len(cells), width, size)
        if fault:
            return begin, fault


def _row_fault(cells: int, width: int, size: int) -> str | None:
    if size > _LONGEST_ROW:
        return f"has {size:,} bytes, a row may have {_LONGEST_ROW:,}"
    return f"has {cells} cells, the header has {width}" if cells not in (0, width) else None


def _broken_ndjson(content: IO[bytes]) -> tuple[int, str] | None:
    for number, line in enumerate(content, start=1):
        try:
            value = json.loads(line.decode()) if line.strip() else {}
        except UnicodeDecodeError:
            return number, "is not UTF-8 text"
        except RecursionError:
            continue  # deep, and perhaps all right
        except ValueError as error:
            return number, f"is not JSON: {error}"
        if not isinstance(value, dict):
            return number, "is not a JSON object"
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return number, "has half a character, as where a text was cut inside an emoji"
    return None


def select_rows(file: RawFile, types: Mapping[str, str]) -> str:
    """Give the query for a file's rows: its columns in order, then `OWN_COLUMNS`.

    Args:
        file: A described file.
        types: Types of the raw table's columns by name; the layout's own where not given.

    Returns:
        SQL in which `$path` (the file's `pattern`) and `$load_id` stay to be bound.
    """
    # Three steps, because an expression that stands twice would be computed twice.
    parsed, values, outer, unparsed = [], [], [], []
    for i, column in enumerate(file.columns):
        own_type = TYPES[LAYOUT[file.table].get(column.target, "text")]
        type_ = types.get(column.target, own_type)
        parsed.append(f"{identifier(column.source)} as s{i}")
        outer.append(f"v{i}")
        text = _text(f"s{i}", column.type)
        value = text
        if type_ == "VARCHAR":
            values.append(f"{text} as v{i}")
            continue
        if own_type == "TIMESTAMP":
            parsed.append(f"{_instant(identifier(column.source), column.type)} as p{i}")
            value = readable(f"p{i}")
        if own_type == "BIGINT":  # 12.0 is 12, and 12.5 is not rounded
            parsed.append(f"try_cast({identifier(column.source)} as decimal(38, 9)) as p{i}")
            value = f"case when p{i} = trunc(p{i}) then try_cast(p{i} as bigint) end"
        if type_ != own_type:
            value = f"try_cast({value} as {type_})"
        values += [f"{value} as v{i}", f"s{i}"]
        key = literal(json.dumps(column.target, ensure_ascii=False) + ":")
        unparsed.append(
            f"case when v{i} is null and s{i} is not null "
            f"then case when not {is_missing(text)} then {key} || to_json({text}) end end"
        )
    inside = f"concat_ws(',', {', '.join(unparsed)})" if unparsed else "''"
    outer += [f"'{{' || nullif({inside}, '') || '}}'", "cast($load_id as bigint)"]
    return (
        f"select {', '.join(outer)} from (select {', '.join(values)} "
        f"from (select {', '.join(parsed)} from {file.reader}))"
    )


def _text(name: str, type_id: str) -> str:
    """A column as text: whole numbers without a fraction, times in UTC, objects as JSON."""
    if type_id in ("float", "double"):
        return (
            f"case when isnan({name}) then null when {name} = trunc({name}) "
            f"and abs({name}) <= {_MOST_WHOLE} then cast(cast({name} as bigint) as varchar) "
            f"else cast({name} as varchar) end"
        )
    if type_id == "decimal":
        return (
            f"case when {name} = trunc({name}) then cast(cast({name} as hugeint) as varchar) "
            f"else rtrim(cast({name} as varchar), '0') end"
        )
    if type_id in _NESTED:
        return f"cast(to_json({name}) as varchar)"
    if type_id in _ZONED:
        return f"cast({_instant(name, type_id)} as varchar)"
    return f"cast({name} as varchar)"


def _instant(name: str, type_id: str) -> str:
    """A column as a UTC timestamp, of any year or infinite."""
    if type_id == "varchar":
        return instant_of_text(name)
    if type_id in _ZONED:
        return f"try_cast({name} as timestamptz) at time zone 'UTC'"
    return f"try_cast({name} as timestamp)"


def instant_of_text(text: str) -> str:
    """Text as a UTC timestamp: the macro `text_timestamp` says the same to dbt."""
    # Some sources put a blank before the offset, or write t and z small.
    tidy = f"regexp_replace({trimmed(text)}, '\\s+([+-][0-9]{{2}}|[zZ]$)', '\\1')"
    tidy = f"regexp_replace({tidy}, '^([0-9-]+)t', '\\1T')"
    tidy = f"regexp_replace({tidy}, 'z$', 'Z')"
    instant = f"coalesce(try_cast({text} as timestamptz), try_cast({tidy} as timestamptz))"
    return f"{instant} at time zone 'UTC'"


def readable(instant: str) -> str:
    """A UTC timestamp of the years 1 to 9999, else null: after the last one a day more fails."""
    years = "timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'"
    return f"case when {instant} between {years} then {instant} end"


def is_missing(text: str) -> str:
    """Whether a text is blank, null or undefined."""
    return f"lower({trimmed(text)}) in ('', 'null', 'undefined')"


def trimmed(text: str) -> str:
    """A text without the blanks around it."""
    return f"trim({text}, e' \\t\\n\\r\\f\\x0b')"
