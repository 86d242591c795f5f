"""The suppression list: who was erased, as salted hashes, and which raw rows are theirs.

What belongs here: the tables of schema `erasure` in the work file, which is never published, and
telling the rows of erased people, accounts and their devices from others, in files and in tables.
What does not: reading files, and rebuilding what held those rows.

A device (anonymous id) may be shared. So a row without a user is an erased person's only where the
stitching of identities gives it to them: for that, the list keeps from when to when they were
identified on the device, and others' identifications are looked up among the rows that are there.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from orchestration.raw_files import instant_of_text, is_missing, readable, trimmed
from orchestration.sql import identifier

TABLES = {
    "salt": "salt varchar not null",
    "ids": "entity varchar not null, id_hash varchar not null, first_run bigint not null",
    "devices": "id_hash varchar not null, first_at timestamp not null, last_at timestamp not null",
}
"""`first_run`: number of the first run without them; versions before it still hold them."""

BEGINNING = "timestamp '0001-01-01'"
LAST = "timestamp '9999-12-31 23:59:59.999999'"
END = "timestamp 'infinity'"

WITH_DEVICES = ("tracks", "identifies")

_FOUND = {
    "listed": "entity varchar, id_hash varchar",
    "erased_users": "spelling varchar",
    "erased_accounts": "spelling varchar",
    "used_devices": "spelling varchar, anonymous_id varchar, is_erased boolean",
    "erased_devices": "anonymous_id varchar",
    "known_spans": "anonymous_id varchar, first_at timestamp, last_at timestamp",
    "identifications": (
        "table_name varchar, row_id varchar, anonymous_id varchar, user_id varchar,"
        " is_erased boolean, happened_at timestamp, received_at timestamp"
    ),
}
"""What `resolve` finds, in temporary tables; and `erased_spans`, which follows from it."""


@dataclass(frozen=True)
class Rows:
    """Raw rows, in a table or in a file.

    Attributes:
        table: The raw table that they belong to.
        types: DuckDB types by the names of the columns, lower case.
        sql: The query that gives them, columns named.
        parameters: What is to be bound in the query.
    """

    table: str
    types: Mapping[str, str]
    sql: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)

    @classmethod
    def of_table(cls, table: str, types: Mapping[str, str]) -> "Rows":
        """All rows of a raw table."""
        return cls(table, types, f"select * from raw.{table}")

    @property
    def account(self) -> str | None:
        """The column that names an account."""
        return {"tracks": "context_group_id", "groups": "group_id"}.get(self.table)

    def spelled(self, name: str | None) -> str:
        """An id of a row `r` as it came."""
        if name is None or name not in self.types:
            return "cast(null as varchar)"
        return f"cast(r.{identifier(name)} as varchar)"

    def text(self, name: str | None) -> str:
        """An id or a name of a row `r`: trimmed; null where it is missing."""
        return _clean(self.spelled(name))

    def time(self, name: str) -> str:
        """A time of a row `r` in UTC; null where it is missing or unreadable."""
        if name not in self.types:
            return "cast(null as timestamp)"
        value = f"r.{identifier(name)}"
        if self.types[name] == "VARCHAR":
            value = instant_of_text(value)
        elif self.types[name] != "TIMESTAMP":
            value = f"try_cast(cast({value} as varchar) as timestamptz) at time zone 'UTC'"
        return readable(value)

    def who(self) -> str:
        """The query for every pair of user and account that a row names."""
        return f"""
            select {_clean("user_spelling")} as user_id, {_clean("account_spelling")} as account_id
            from (
                select distinct
                    {self.spelled("user_id")} as user_spelling,
                    {self.spelled(self.account)} as account_spelling
                from ({self.sql}) as r
            )
        """

    def without_erased(self) -> str:
        """The query for the rows that stay; after `resolve`."""
        return self._split("spans.spelling is null and not")

    def of_erased(self) -> str:
        """The query for the rows that go; after `resolve`."""
        return self._split("spans.spelling is not null or")

    def _split(self, side: str) -> str:
        happened_at = self.time("timestamp")
        # A row without a readable time is theirs only where the device was nobody else's.
        return f"""
            select r.*
            from ({self.sql}) as r
            left join temp.erased_spans as spans
                on
                    {self.spelled("anonymous_id")} = spans.spelling
                    and {self.text("user_id")} is null
                    and coalesce({happened_at}, {BEGINNING}) >= spans.from_at
                    and coalesce({happened_at}, {LAST}) < spans.before_at
            where {side} (
                coalesce({self.spelled("user_id")} in (
                    select spelling from temp.erased_users
                ), false)
                or coalesce({self.spelled(self.account)} in (
                    select spelling from temp.erased_accounts
                ), false)
            )
        """


def _clean(text: str) -> str:
    """Trims a text; blank, null and undefined are missing. Slow: apply it to distinct ones."""
    return f"case when not {is_missing(text)} then {trimmed(text)} end"


def read_salt(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The salt of the warehouse's list; None where nobody was ever erased."""
    if not _is_there(connection):
        return None
    return str(connection.execute("select salt from erasure.salt").fetchall()[0][0])


def new_salt() -> str:
    """A salt for a new list: random, the warehouse's own."""
    return secrets.token_hex(32)


def hashed(salt: str, entity: str, name: str) -> str:
    """What the list keeps of an id; the same as `_hash` in SQL.

    Args:
        salt: of the list.
        entity: `user`, `account` or `anonymous`.
        name: the id, trimmed.
    """
    return hashlib.sha256(f"{salt}{entity}:{name}".encode()).hexdigest()


def first_run(connection: duckdb.DuckDBPyConnection) -> int:
    """Number of the first run that holds none of the erased; 0 where nobody was ever erased."""
    if not _is_there(connection):
        return 0
    ((number,),) = connection.execute("select max(first_run) from erasure.ids").fetchall()
    return int(number or 0)


def resolve(
    connection: duckdb.DuckDBPyConnection,
    rows: Sequence[Rows],
    there: Sequence[Rows] = (),
    *,
    salt: str | None = None,
    further: Sequence[tuple[str, str]] = (),
) -> bool:
    """Find out whose of some rows stand on the list; needed before a `Rows` can be split.

    What is found stands in temporary tables of the connection until `forget`. Nothing else is
    written; the connection may be read-only.

    Args:
        connection: The warehouse.
        rows: The rows to be split.
        there: Further rows that tell who used which device.
        salt: Of the list, where it is not the warehouse's own yet.
        further: Entities and hashes that are not on the warehouse's list yet.

    Returns:
        Whether any row may have to go.
    """
    listed = read_salt(connection)
    salt = salt or listed
    if salt is None:
        return False
    execute = connection.execute
    for name, columns in _FOUND.items():
        execute(f"create or replace temp table {name} ({columns})")
    if listed:
        execute(
            "insert into temp.listed select entity, id_hash from erasure.ids"
            " union all select 'anonymous', id_hash from erasure.devices"
        )
    for entity, id_hash in further:
        execute("insert into temp.listed values (?, ?)", [entity, id_hash])

    for part in rows:
        _collect(connection, part, "user_id", "user", salt)
        if part.account:
            _collect(connection, part, part.account, "account", salt)
    _collect_devices(connection, rows, there, salt)
    execute(f"create or replace temp table erased_spans as {_SPANS}")
    return any(
        _has_rows(connection, name) for name in ("erased_users", "erased_accounts", "erased_spans")
    )


def remember(connection: duckdb.DuckDBPyConnection, salt: str, catalog: str = "") -> None:
    """Write what was learned about devices of the erased to the list.

    Args:
        connection: The warehouse, after `resolve`.
        salt: Of the list.
        catalog: The database of the list, with a dot; empty for the connection's own.
    """
    devices = f"select {_hash('anonymous')} from temp.erased_devices"
    connection.execute(
        f"delete from {catalog}erasure.devices where id_hash in ({devices})", {"salt": salt}
    )
    connection.execute(
        f"insert into {catalog}erasure.devices"
        f" select distinct {_hash('anonymous')}, first_at, last_at from temp.erased_spans",
        {"salt": salt},
    )


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop what `resolve` found, which is in clear."""
    for name in [*_FOUND, "erased_spans"]:
        connection.execute(f"drop table if exists temp.{name}")


def _is_there(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the warehouse has a list; asked without an error, which would end a transaction."""
    return bool(
        connection.execute(
            "select 1 from duckdb_tables()"
            " where database_name = current_database() and schema_name = 'erasure'"
        ).fetchall()
    )


def _hash(entity: str) -> str:
    """The hash of the id in the column of its entity, in SQL with `$salt`."""
    return f"sha256($salt || '{entity}:' || {entity}_id)"


def _collect(
    connection: duckdb.DuckDBPyConnection, rows: Rows, column: str, entity: str, salt: str
) -> None:
    """Adds the ids of some rows that stand on the list, as they are spelled there."""
    spelling = rows.spelled(column)
    connection.execute(
        f"""
        insert into temp.erased_{entity}s
        with spelled as materialized (
            select distinct {spelling} as spelling from ({rows.sql}) as r
        ),
        named as materialized (
            select spelling, {_clean("spelling")} as {entity}_id from spelled
        )
        select spelling
        from named
        where
            {_hash(entity)} in (select id_hash from temp.listed where entity = '{entity}')
            and spelling not in (select spelling from temp.erased_{entity}s)
        """,
        {**rows.parameters, "salt": salt},
    )


def _collect_devices(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Rows], there: Sequence[Rows], salt: str
) -> None:
    """Finds devices of the erased among some rows, and who else was identified on them."""
    with_devices = [part for part in rows if part.table in WITH_DEVICES]
    for part in with_devices:
        _collect_used(connection, part)
    connection.execute(
        f"""
        insert into temp.erased_devices
        select distinct anonymous_id
        from temp.used_devices
        where
            is_erased
            or {_hash("anonymous")} in (
                select id_hash from temp.listed where entity = 'anonymous'
            )
        """,
        {"salt": salt},
    )
    if not _has_rows(connection, "erased_devices"):
        return
    others = [part for part in there if part.table in WITH_DEVICES]
    for part in others:
        _collect_used(connection, part)
    connection.execute(
        "delete from temp.used_devices"
        " where anonymous_id not in (select anonymous_id from temp.erased_devices)"
    )
    for part in [*with_devices, *others]:
        _collect_identifications(connection, part)
    if read_salt(connection):
        connection.execute(
            f"""
            insert into temp.known_spans
            select erased_devices.anonymous_id, devices.first_at, devices.last_at
            from temp.erased_devices
            inner join erasure.devices on {_hash("anonymous")} = devices.id_hash
            """,
            {"salt": salt},
        )


def _collect_used(connection: duckdb.DuckDBPyConnection, rows: Rows) -> None:
    """Adds the devices of some rows, as they are spelled there, and whether an erased used them."""
    connection.execute(
        f"""
        insert into temp.used_devices
        with spelled as materialized (
            select
                {rows.spelled("anonymous_id")} as spelling,
                bool_or(coalesce({rows.spelled("user_id")} in (
                    select spelling from temp.erased_users
                ), false)) as is_erased
            from ({rows.sql}) as r
            group by 1
        ),
        named as materialized (
            select spelling, {_clean("spelling")} as anonymous_id, is_erased from spelled
        )
        select spelling, anonymous_id, is_erased from named where anonymous_id is not null
        """,
        dict(rows.parameters),
    )


def _collect_identifications(connection: duckdb.DuckDBPyConnection, rows: Rows) -> None:
    """Adds the rows that identify somebody on a device of the erased and are not set aside."""
    event = rows.text("event") if rows.table == "tracks" else "''"
    parameters: dict[str, Any] = {**rows.parameters, "table": rows.table}
    connection.execute(
        f"""
        insert into temp.identifications
        with told as (
            select
                {rows.text("id")} as row_id,
                {rows.text("anonymous_id")} as anonymous_id,
                {rows.text("user_id")} as user_id,
                coalesce({rows.spelled("user_id")} in (
                    select spelling from temp.erased_users
                ), false) as is_erased,
                {rows.time("timestamp")} as happened_at,
                coalesce({rows.time("received_at")}, {rows.time("timestamp")}) as received_at,
                {event} is not null as is_named
            from ({rows.sql}) as r
            where {rows.spelled("anonymous_id")} in (select spelling from temp.used_devices)
        )
        select $table, row_id, anonymous_id, user_id, is_erased, happened_at, received_at
        from told
        where
            user_id is not null
            and row_id is not null
            and is_named
            and happened_at >= timestamp '2000-01-01'
            and happened_at <= received_at + interval 1 day
        """,
        parameters,
    )


def _has_rows(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    return bool(connection.execute(f"select 1 from temp.{name} limit 1").fetchall())


# Stretches of time in which the events of a device belong to somebody erased, as stitching has it:
# `first_at` to `last_at` they were identified there; `from_at` until before `before_at` it lasts.
_SPANS = f"""
    with counted as (
        select anonymous_id, user_id, happened_at, is_erased
        from temp.identifications
        qualify row_number() over (
            partition by table_name, row_id order by happened_at, received_at, user_id
        ) = 1
    ),
    told as (
        select anonymous_id, user_id, happened_at, is_erased
        from counted
        where
            is_erased
            or not exists (
                select 1 from temp.known_spans
                where
                    known_spans.anonymous_id = counted.anonymous_id
                    and counted.happened_at between known_spans.first_at and known_spans.last_at
            )
        union all
        select
            anonymous_id,
            '' as user_id,
            unnest([first_at, last_at]) as happened_at,
            true as is_erased
        from temp.known_spans
    ),
    instants as (
        select anonymous_id, happened_at, arg_min(is_erased, user_id) as is_erased
        from told
        group by 1, 2
    ),
    compared as (
        select
            *,
            count(case when not is_erased then 1 end) over (
                partition by anonymous_id order by happened_at
            ) as others_before,
            min(case when not is_erased then happened_at end) over (
                partition by anonymous_id order by happened_at
                rows between 1 following and unbounded following
            ) as next_other_at
        from instants
    ),
    spans as (
        select
            anonymous_id,
            min(happened_at) as first_at,
            max(happened_at) as last_at,
            case when others_before = 0 then {BEGINNING} else min(happened_at) end as from_at,
            coalesce(any_value(next_other_at), {END}) as before_at
        from compared
        where is_erased
        group by anonymous_id, others_before
    )
    select used_devices.spelling, spans.*
    from spans
    inner join (select distinct spelling, anonymous_id from temp.used_devices) as used_devices
        using (anonymous_id)
"""
