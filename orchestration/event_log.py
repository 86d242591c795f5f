"""Where Dagster's instance of a warehouse keeps the events of runs: one SQLite file.

Dagster's own storages open a new engine and a new connection for every statement, and have the disk
confirm every commit: 600 events, one run of ours, cost 8 s of processor and wait for the disk 1,400
times. This one is theirs with one pool of connections: 2 s. Nothing else differs; what stands in
the file is read by any Dagster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

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

    @contextmanager
    def _connect(self) -> Iterator[sqlalchemy.Connection]:
        with self._engine.begin() as connection:
            yield connection
