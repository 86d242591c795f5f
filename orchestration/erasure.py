"""Erasure: the work file built anew without a person or an account, who are put on the list.

What belongs here: who goes along with whom, the rebuilt work file, and what is still to be done
until no version holds them. What does not: which rows are theirs (`suppression`), making and
publishing marts, the landing files, which are the customer's own.
"""

import csv
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from orchestration import dial_changes, landing, runs, suppression
from orchestration.dials import check_traits, load_dials
from orchestration.errors import InputError, RunError
from orchestration.project import Settings
from orchestration.publish import (
    flush,
    newest_day,
    number_of,
    remove_half_written,
    run_name,
    versions_before,
)
from orchestration.sql import identifier, literal
from orchestration.suppression import Rows

REBUILT = "rebuilt"
ID_COLUMNS = ("user_id", "anonymous_id", "account_id", "row_id")
"""A table of `ops` with one of these tells of people; every run makes it anew from raw rows."""

NOT_TEXTS = {"id", "event", "timestamp", "user_id", "anonymous_id", "context_group_id", "group_id"}
"""Columns in which nobody is named but by whom the row is."""


@dataclass(frozen=True)
class Erasure:
    """What an erasure took out of the work file.

    Attributes:
        rows: Rows removed, by raw table; all zero where an earlier erasure had come so far.
        people: Users removed: one, or those of the account who belong to no other.
        first_date: The earliest day that loses rows; None where none has a readable time.
        load_ids: Loads whose files hold rows of the erased.
        last_load: The last load before the erasure; later ones left the erased out by themselves.
        mentions: Rows of others that name the erased in a text, by raw table; they stay.
        names: Ids and e-mail addresses of the erased, as they were in the rows removed.
    """

    rows: Mapping[str, int]
    people: int
    first_date: date | None
    load_ids: frozenset[int]
    last_load: int
    mentions: Mapping[str, int]
    names: frozenset[str] = frozenset()


def is_clean(connection: duckdb.DuckDBPyConnection, published: Path) -> bool:
    """Whether no published version holds anybody who was erased from the work file."""
    return not versions_before(published, suppression.first_run(connection))


def is_finished(settings: Settings) -> bool:
    """The same, of a warehouse that nobody has open."""
    with closing(settings.read()) as connection:
        return is_clean(connection, settings.published)


def remove_unfinished(settings: Settings) -> None:
    """Removes what a killed erasure left behind; the caller holds the writer lock."""
    for path in (_building(settings), Path(f"{_building(settings)}.wal")):
        path.unlink(missing_ok=True)


def erase(settings: Settings, entity: str, name: str) -> Erasure:
    """Builds the work file anew without somebody, and puts them on the suppression list.

    Readers go on seeing the versions that are published; the next run publishes one without them
    and removes the others. Until the rebuilt file takes the old one's place, in one step, nothing
    is changed; a killed erasure can be started again.

    Args:
        settings: The warehouse; the caller holds its writer lock.
        entity: `user` or `account`.
        name: Their id.

    Raises:
        InputError: Nobody has this id, or a run could not follow; nothing was changed.
        RunError: The work file could not be built anew; nothing was changed.
    """
    remove_unfinished(settings)
    check_there(settings)
    try:
        with closing(settings.connect()) as connection:
            erasure = _rebuild(connection, settings, entity, name.strip(" \t\n\r\f\v"))
        if erasure is None:
            return Erasure(dict.fromkeys(landing.LAYOUT, 0), 0, None, frozenset(), 0, {})
        _check_run_can_follow(settings)
        _replace(settings)
    except duckdb.Error as error:
        why = str(error).splitlines()[0]
        raise RunError(f"{settings.work_db} could not be built anew: {why}") from error
    finally:
        remove_unfinished(settings)
    return erasure


def check_there(settings: Settings) -> None:
    """There is a work file to erase from.

    Raises:
        InputError: There is none.
    """
    if not settings.work_db.exists():
        raise InputError(f"{settings.work_db}: there is no such file, so nobody to erase")


def landing_files(settings: Settings, erasure: Erasure) -> list[Path]:
    """Files of the landing folder that hold rows of the erased, as far as they are still there.

    Args:
        settings: The warehouse after the erasure and the run that followed.
        erasure: What was erased; of one that only had to be finished, the files of all erased.
    """
    with closing(settings.read()) as connection:
        rows = connection.execute(
            "select file_name, load_id from ops.landed_files where suppressed_count > 0"
            " order by table_name, file_name"
        ).fetchall()
    files = [
        settings.raw / file
        for file, load in rows
        if not erasure.load_ids or load in erasure.load_ids or load > erasure.last_load
    ]
    return [path for path in files if path.exists()]


def dial_lines(settings: Settings, names: Iterable[str]) -> list[str]:
    """Lines of the exclusion dial that name somebody; the dials are published, and are yours."""
    wanted = {name.strip().casefold() for name in names}
    path = settings.seeds / "exclusions.csv"
    with path.open(newline="", encoding="utf-8-sig") as content:
        reader = csv.reader(content)
        return [
            f"{path}:{reader.line_num}"
            for cells in reader
            if wanted.intersection(cell.strip().casefold() for cell in cells)
        ]


def _building(settings: Settings) -> Path:
    return settings.work_db.with_name(f"{settings.work_db.name}.erasing")


def _rebuild(
    connection: duckdb.DuckDBPyConnection, settings: Settings, entity: str, name: str
) -> Erasure | None:
    """Writes the new work file beside the old one; None where there is nobody left to remove."""
    raw = _raw_rows(connection)
    salt = suppression.read_salt(connection)
    people = _people(connection, raw, entity, name)
    is_known = bool(people) if entity == "user" else _is_account(connection, raw, name)
    is_listed = salt is not None and bool(
        connection.execute(
            "select 1 from erasure.ids where entity = ? and id_hash = ?",
            [entity, suppression.hashed(salt, entity, name)],
        ).fetchall()
    )
    if not (is_known or is_listed):
        raise InputError(f"no row of {settings.work_db} has this {entity} id; nothing was changed")
    salt = salt or suppression.new_salt()
    listed = [(entity, suppression.hashed(salt, entity, name))]
    if entity == "account":
        listed += [("user", suppression.hashed(salt, "user", user_id)) for user_id in people]
    suppression.resolve(connection, list(raw.values()), salt=salt, further=listed)
    try:
        leaving = {
            table: _count(connection, f"select count(*) from ({rows.of_erased()})")
            for table, rows in raw.items()
        }
        if not any(leaving.values()):
            return None
        told = _needles(connection, raw, name)
        first = _first_date(connection, raw, settings.timezone)
        loads = _leaving_loads(connection, raw)
        last_load = _last_load(connection)
        connection.execute(f"attach {literal(_building(settings))} as {REBUILT}")
        _copy(connection, raw)
        _copy_list(connection, salt, listed, _next_run(connection, settings))
        for load_id, count in loads.items():
            connection.execute(
                f"update {REBUILT}.ops.landed_files set row_count = row_count - $count,"
                " suppressed_count = coalesce(suppressed_count, 0) + $count"
                " where load_id = $load_id",
                {"count": count, "load_id": load_id},
            )
        mentions = {
            table: _mentions(connection, f"{REBUILT}.raw.{table}", rows, told)
            for table, rows in raw.items()
        }
        connection.execute(f"checkpoint {REBUILT}")
        connection.execute(f"detach {REBUILT}")
    finally:
        suppression.forget(connection)
    names = frozenset((*told, *people))
    return Erasure(leaving, len(people), first, frozenset(loads), last_load, mentions, names)


def _raw_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, Rows]:
    tables, views = landing.raw_tables(connection)
    for table in views:
        raise InputError(f"raw.{table} is a view: erase where its rows come from")
    return {table: Rows.of_table(table, types) for table, types in tables.items()}


def _people(
    connection: duckdb.DuckDBPyConnection, raw: Mapping[str, Rows], entity: str, name: str
) -> list[str]:
    """The user, or the users of the account whom no row puts into another one."""
    everybody = " union all ".join(
        f"select user_id, account_id from ({rows.who()})" for rows in raw.values()
    )
    if not everybody:
        return []
    test = "user_id = $name"
    if entity == "account":
        test = "user_id is not null group by 1 having max(account_id) = $name"
        test += " and min(account_id) = $name"
    found = connection.execute(
        f"select distinct user_id from ({everybody}) where {test}", {"name": name}
    ).fetchall()
    return [user_id for (user_id,) in found]


def _is_account(connection: duckdb.DuckDBPyConnection, raw: Mapping[str, Rows], name: str) -> bool:
    return any(
        connection.execute(
            f"select 1 from ({rows.who()}) where account_id = ? limit 1", [name]
        ).fetchall()
        for rows in raw.values()
    )


def _first_date(
    connection: duckdb.DuckDBPyConnection, raw: Mapping[str, Rows], timezone: str
) -> date | None:
    times = []
    for rows in raw.values():
        ((first,),) = connection.execute(
            f"select min(happened_at) from"
            f" (select {rows.time('timestamp')} as happened_at from ({rows.of_erased()}) as r)"
            " where happened_at >= timestamp '2000-01-01'"
        ).fetchall()
        times += [first] if first else []
    return min(times).replace(tzinfo=UTC).astimezone(ZoneInfo(timezone)).date() if times else None


def _leaving_loads(
    connection: duckdb.DuckDBPyConnection, raw: Mapping[str, Rows]
) -> dict[int, int]:
    """Rows that go, by the load that brought them."""
    counts: dict[int, int] = {}
    for rows in raw.values():
        if "_load_id" in rows.types:
            counts |= connection.execute(
                f"select _load_id, count(*) from ({rows.of_erased()})"
                " where _load_id is not null group by 1"
            ).fetchall()
    return counts


def _last_load(connection: duckdb.DuckDBPyConnection) -> int:
    try:
        return _count(connection, "select coalesce(max(load_id), 0) from ops.landed_files")
    except duckdb.CatalogException:
        return 0


def _needles(
    connection: duckdb.DuckDBPyConnection, raw: Mapping[str, Rows], name: str
) -> list[str]:
    """What names somebody: the id, and a user's e-mail addresses."""
    identifies = raw.get("identifies")
    if identifies is None or "email" not in identifies.types:
        return [name]
    leaving = Rows("identifies", identifies.types, identifies.of_erased())
    emails = connection.execute(
        f"select distinct {leaving.text('email')} as email from ({leaving.sql}) as r"
        " where email is not null"
    ).fetchall()
    return [name, *(email for (email,) in emails)]


def _mentions(
    connection: duckdb.DuckDBPyConnection, relation: str, rows: Rows, needles: Sequence[str]
) -> int:
    """Rows of a table in which a text is one of the needles, or JSON that has it as a string."""
    bound = {f"needle_{i}": needle for i, needle in enumerate(needles)}
    texts = [
        identifier(column)
        for column, kind in rows.types.items()
        if kind == "VARCHAR" and column not in NOT_TEXTS
    ]
    named = [
        f"{text} = ${name} or contains({text}, cast(to_json(${name}) as varchar))"
        for text in texts
        for name in bound
    ]
    if not named:
        return 0
    return _count(connection, f"select count(*) from {relation} where {' or '.join(named)}", bound)


def _copy(connection: duckdb.DuckDBPyConnection, raw: Mapping[str, Rows]) -> None:
    """Copies what no run can make anew: raw rows that stay, and the records of runs and loads."""
    ((own,),) = connection.execute("select current_database()").fetchall()
    tables = connection.execute(
        """
        select lower(schema_name) as schema_name, table_name, sql
        from duckdb_tables()
        where
            database_name = current_database()
            and not temporary
            and (
                lower(schema_name) = 'raw'
                or schema_name = 'ops' and (schema_name, table_name) not in (
                    select (schema_name, table_name)
                    from duckdb_columns()
                    where database_name = current_database() and list_contains($ids, column_name)
                )
            )
        order by all
        """,
        {"ids": list(ID_COLUMNS)},
    ).fetchall()
    connection.execute(f"use {REBUILT}")
    try:
        for schema in ("raw", "ops"):
            connection.execute(f"create schema {schema}")
        for _, _, statement in tables:
            connection.execute(statement)
    finally:
        connection.execute(f"use {identifier(own)}")
    for schema, table, _ in tables:
        rows = raw.get(table.lower()) if schema == "raw" else None
        kept = rows.without_erased() if rows else f"select * from {schema}.{identifier(table)}"
        if (schema, table) == ("ops", "dial_changes"):
            kept = dial_changes.WITHOUT_NAMES
        connection.execute(f"insert into {REBUILT}.{schema}.{identifier(table)} {kept}")
    if any(table == "landed_files" for _, table, _ in tables):
        connection.execute(f"use {REBUILT}")
        try:
            landing.prepare_ledger(connection)
        finally:
            connection.execute(f"use {identifier(own)}")


def _copy_list(
    connection: duckdb.DuckDBPyConnection,
    salt: str,
    listed: Sequence[tuple[str, str]],
    first_run: int,
) -> None:
    """Writes the suppression list: what it was, the new ids and what was learned of devices."""
    was_there = suppression.read_salt(connection) is not None
    connection.execute(f"create schema {REBUILT}.erasure")
    for table, columns in suppression.TABLES.items():
        connection.execute(f"create table {REBUILT}.erasure.{table} ({columns})")
        if was_there:
            connection.execute(f"insert into {REBUILT}.erasure.{table} from erasure.{table}")
    if not was_there:
        connection.execute(f"insert into {REBUILT}.erasure.salt values (?)", [salt])
    for entity, id_hash in listed:
        connection.execute(
            f"delete from {REBUILT}.erasure.ids where entity = ? and id_hash = ?",
            [entity, id_hash],
        )
        connection.execute(
            f"insert into {REBUILT}.erasure.ids values (?, ?, ?)", [entity, id_hash, first_run]
        )
    suppression.remember(connection, salt, f"{REBUILT}.")


def _next_run(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """The number that the next run will have."""
    return number_of(run_name(settings.published, runs.known(connection), date.min))


def _check_run_can_follow(settings: Settings) -> None:
    """What the run after the erasure will ask for is there, before anything is changed.

    Raises:
        InputError: It is not.
    """
    with closing(duckdb.connect(str(_building(settings)), read_only=True)) as connection:
        plan = landing.inspect(settings.raw, connection)
        dials = load_dials(settings.seeds)
        dial_changes.judged(settings, dials, restate=False)
        problems = check_traits(dials, plan.columns("identifies"), plan.columns("groups"))
        if problems:
            raise InputError(problems)
        as_of = newest_day(settings.published)
        if as_of is None:
            return
        over = datetime.combine(as_of + timedelta(days=1), time(), ZoneInfo(settings.timezone))
        bound = [over.astimezone(UTC).replace(tzinfo=None)]
        left = [Rows.of_table(table, types) for table, types in plan.tables.items()]
        if not any(
            connection.execute(
                f"select 1 from (select {rows.time('timestamp')} as happened_at"
                f" from ({rows.sql}) as r) where happened_at < ? limit 1",
                bound,
            ).fetchall()
            for rows in left
        ):
            raise InputError(
                f"{settings.warehouse}: holds rows of nobody else; delete this folder instead"
            )


def _replace(settings: Settings) -> None:
    """Puts the rebuilt work file in the old one's place.

    Raises:
        RunError: The old one was not closed; its log would be replayed into the new one.
    """
    if Path(f"{settings.work_db}.wal").exists():
        raise RunError(f"{settings.work_db} is still open elsewhere; nothing was changed")
    flush(_building(settings))
    settings.tested_mark.unlink(missing_ok=True)  # no marts are in it
    _building(settings).replace(settings.work_db)
    flush(settings.warehouse)
    remove_half_written(settings.published)
    shutil.rmtree(f"{settings.work_db}.tmp", ignore_errors=True)  # of a run that was killed


def _count(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, object] | None = None,
) -> int:
    return int(connection.execute(query, dict(parameters or {})).fetchall()[0][0])
