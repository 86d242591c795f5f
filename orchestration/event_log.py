"""Where Dagster's instance of a warehouse keeps the events of runs: one SQLite file.

Dagster's own storages open a new engine and a new connection for every statement, have the disk
confirm every commit, and ask which tables and columns there are before every event: 600 events, one
run of ours, cost 8 s of processor and wait for the disk 1,400 times. This one is theirs with
connections that are used again and one transaction per event. Nothing else differs; what stands in
the file is read by any Dagster.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage


class PooledEventLogStorage(ConsolidatedSqliteEventLogStorage):
    """Dagster's one-file event log, with connections that are used again."""

    @cached_property
    def _engine(self) -> sqlalchemy.Engine:
        engine = sqlalchemy.create_engine(self._conn_string, connect_args={"timeout": 60})

        @sqlalchemy.event.listens_for(engine, "connect")
        def relax(connection: object, _record: object) -> None:
            # With a write-ahead log this is safe: a power cut loses the last events, no more.
            connection.execute("pragma synchronous = normal")  # type: ignore[attr-defined]

        return engine

    @cached_property
    def _open(self) -> threading.local:
        """Holds the connection of a thread that is in a transaction."""
        return threading.local()

    @cached_property
    def _seen(self) -> set[str]:
        """Holds the tables and columns that were seen: none is ever dropped."""
        return set()

    @contextmanager
    def _connect(self) -> Iterator[sqlalchemy.Connection]:
        within = getattr(self._open, "connection", None)
        if within:
            yield within
            return
        with self._engine.begin() as connection:
            self._open.connection = connection
            try:
                yield connection
            finally:
                self._open.connection = None

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Keeps an event and what follows from it, all or nothing."""
        with self._connect():
            super().store_event(event)

    def dispose(self) -> None:
        """Closes the connections, which puts all that was written into the one file."""
        super().dispose()  # type: ignore[no-untyped-call]
        self._engine.dispose()

    def has_table(self, table_name: str) -> bool:
        """Whether a table is there."""
        if table_name not in self._seen:
            with self._connect() as connection:
                if not self._engine.dialect.has_table(connection, table_name):
                    return False
            self._seen.add(table_name)
        return True

    def _has_asset_key_col_on_connection(
        self, conn: sqlalchemy.Connection, column_name: str
    ) -> bool:
        column = f"asset_keys.{column_name}"
        if column not in self._seen:
            if not super()._has_asset_key_col_on_connection(conn, column_name):
                return False
            self._seen.add(column)
        return True
