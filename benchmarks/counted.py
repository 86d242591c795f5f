"""Run a command of the product and count the rows that its DuckDB statements read and write.

Usage: counted.py COMMAND …, with the file to write in ACCOUNTPULSE_COUNTED: `{"read": …,
"written": …, "statements": …}`. Every connection is profiled by DuckDB itself, which costs time:
nothing that is counted is to be timed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

counts: Counter[str] = Counter()
connect = duckdb.connect


class Profiled:
    """A connection that adds up what its statements read and write.

    Args:
        connection: the connection that does the work.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._counted: tuple[str, float] | None = None
        connection.execute("set enable_profiling = 'no_output'")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401, D105 - whatever a connection has
        return getattr(self._connection, name)

    def cursor(self) -> Profiled:
        """Return a profiled cursor."""
        return Profiled(self._connection.cursor())

    def execute(self, query: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as given
        """Run statements one by one, and read the profile of each."""
        self._count()
        statements = duckdb.extract_statements(query)
        done: Any = self._connection
        for statement in statements if len(statements) > 1 else [query]:
            done = self._connection.execute(statement, *arguments, **named)
            self._count()
        return done

    def sql(self, query: str, **named: Any) -> Any:  # noqa: ANN401 - as given
        """Return a relation; what reading it costs is counted before the next statement."""
        self._count()
        return self._connection.sql(query, **named)

    def close(self) -> None:
        """Close the connection; what it did last is counted."""
        self._count()
        self._connection.close()

    def _count(self) -> None:
        try:
            profile = json.loads(self._connection.get_profiling_information("json"))
        except (duckdb.Error, ValueError):
            return
        told = profile.get("query", {})
        run = (told.get("sql", ""), told.get("total_time", 0.0))
        if run == self._counted:
            return
        self._counted = run
        counts["statements"] += 1
        counts["read"] += told.get("total_rows_scanned", 0)
        counts["written"] += sum(written(node) for node in profile.get("operator", []))


def written(node: dict[str, Any]) -> int:
    """Return the rows that a plan's node and those below it put into tables."""
    below = node.get("children", [])
    inserts = "INSERT" in node["type"] or "CREATE_TABLE_AS" in node["type"]
    own = sum(child["intermediate_rows"] for child in below) if inserts else 0
    return int(own) + sum(written(child) for child in below)


def main() -> None:
    """Count while the command line of the product runs."""
    duckdb.connect = lambda *args, **named: Profiled(connect(*args, **named))
    from orchestration.cli import main as command  # noqa: PLC0415 - it is to find the above

    try:
        command()
    finally:
        Path(os.environ["ACCOUNTPULSE_COUNTED"]).write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
