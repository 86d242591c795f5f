"""Run a command of the product and count the rows that its DuckDB statements read and write.

Usage: counted.py COMMAND …, with the file to write in ACCOUNTPULSE_COUNTED: `{"statements": …,
"read": {table: rows}, "written": {table: rows}}`. Every connection is profiled by DuckDB itself,
which costs time: nothing that is counted is to be timed. dbt's process begins with this file as
well, and leaves what it counted beside that file.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

statements = 0
read: Counter[str] = Counter()
written: Counter[str] = Counter()
COUNTING = threading.Lock()
connect = duckdb.connect
OF_ALL = os.environ["ACCOUNTPULSE_COUNTED"]
OF_DBT = f"{OF_ALL}.dbt"
INTO = re.compile(
    r"\b(?:insert into|create (?:or replace )?(?:temp(?:orary)? )?table(?: if not exists)?)"
    r"\s+([\w.\"]+)",
    re.IGNORECASE,
)


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
        parts = duckdb.extract_statements(query)
        done: Any = self._connection
        for statement in parts if len(parts) > 1 else [query]:
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
        if multiprocessing.parent_process():
            Path(OF_DBT).write_text(counts())

    def _count(self) -> None:
        try:
            profile = json.loads(self._connection.get_profiling_information("json"))
        except (duckdb.Error, ValueError):
            return
        told = profile.get("query", {})
        sql = told.get("sql", "")
        run = (sql, told.get("total_time", 0.0))
        if run == self._counted:
            return
        self._counted = run
        global statements  # noqa: PLW0603 - one count per process
        into = INTO.search(sql)
        with COUNTING:
            statements += 1
            for node in profile.get("operator", []):
                count(node, name(into[1]) if into else "")


def name(table: str) -> str:
    """Return schema and name of a table, without what tells one run's from another's."""
    table = ".".join(table.replace('"', "").split(".")[-2:])
    return re.sub(r"^(main|temp)\.|__dbt_tmp\d*$", "", table)


def count(node: dict[str, Any], into: str) -> None:
    """Add what a plan's node and those below it read from tables and put into one."""
    below = node.get("children", [])
    if table := node.get("extra_info", {}).get("Table"):
        read[name(table)] += node.get("rows_scanned", 0)
    if "INSERT" in node["type"] or "CREATE_TABLE_AS" in node["type"]:
        written[into] += sum(map(rows, below))
    for child in below:
        count(child, into)


def rows(node: dict[str, Any]) -> int:
    """Return how many rows a plan's node hands on; some leave that to those below them."""
    if node["type"] == "UNION":
        return sum(map(rows, node["children"]))
    if node["type"] == "CTE":
        return rows(node["children"][-1])
    return int(node["intermediate_rows"])


def counts() -> str:
    """Return what was counted so far, as JSON."""
    return json.dumps({"statements": statements, "read": read, "written": written})


def profile_everything() -> None:
    """Count what every connection does that is opened from now on."""
    duckdb.connect = lambda *args, **named: Profiled(connect(*args, **named))


def main() -> None:
    """Count while the command line of the product runs."""
    global statements  # noqa: PLW0603 - one count per process
    profile_everything()
    from orchestration.cli import main as command  # noqa: PLC0415 - it is to find the above

    try:
        command()
    finally:
        of_dbt = json.loads(Path(OF_DBT).read_text())
        Path(OF_DBT).unlink()
        statements += of_dbt["statements"]
        read.update(of_dbt["read"])
        written.update(of_dbt["written"])
        Path(OF_ALL).write_text(counts())


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":
    profile_everything()
