"""The dbt models without dbt: their SQL compiled once, then run on small raw data in memory.

A dbt run of one small case takes seconds; its statements take a fraction of one. What belongs
here: compiling the project and running its SELECTs in order. Expected values do not belong here.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import duckdb
from raw_cases import RAW_COLUMNS, Case, Tables

from orchestration import dbt_process
from orchestration.project import CHECKOUT, Settings, dbt_arguments, parsed_project

if TYPE_CHECKING:
    from pathlib import Path

# Replaced in the compiled SQL by a case's own; no data may hold them.
SOME_DATE = "2222-02-22"
SOME_TIMEZONE = "Pacific/Kiritimati"
KNOWN_DATE = "2111-01-11"
KNOWN_LOAD = 987654321
RESTATE_FROM = "2100-10-10"
FURTHER_COLUMNS = {"tracks": (), "identifies": ("team",), "groups": ("industry",)}


@dataclass(frozen=True)
class Statement:
    """One model of the project: where it goes, its SELECT, and what dbt does to its table."""

    relation: str
    kind: str
    select: str
    script: str

    @property
    def fresh(self) -> str:
        """The table of the rows to bring, where dbt makes it by a statement of its own."""
        made = set(re.findall(r'"\w+__dbt_tmp\d*"', self.script))
        return "" if "create temporary table" in self.script.lower() else "".join(made)


@dataclass(frozen=True)
class Known:
    """What the last complete run knew: the last load, and its as-of date."""

    load: int
    as_of: date


class CompiledMarts:
    """Every model of the dbt project that needs no Python mart, ready to run on a case.

    Args:
        folder: an empty folder to compile in.
    """

    def __init__(self, folder: Path) -> None:
        self._settings = replace(empty_warehouse(folder), timezone=SOME_TIMEZONE)
        self.statements = self._built()
        self._known = {"known_load": str(KNOWN_LOAD), "known_as_of": KNOWN_DATE}
        self.restating = self._built(**self._known)

    @cached_property
    def restating_from(self) -> list[Statement]:
        """The models of a run that is asked for a first day."""
        return self._built(**self._known, restate_from=RESTATE_FROM)

    def _built(self, **variables: str) -> list[Statement]:
        dbt(
            self._settings,
            *("build", "--exclude", "tag:after_signals", "resource_type:test"),
            *("resource_type:unit_test", "--threads", "1"),
            as_of_date=SOME_DATE,
            **variables,
        )
        target = self._settings.dbt_target
        nodes = json.loads((target / "manifest.json").read_bytes())["nodes"]
        results = json.loads((target / "run_results.json").read_bytes())["results"]
        built = [(nodes[result["unique_id"]], result) for result in results]
        self.dial_types = {
            node["name"]: node["config"]["column_types"]
            for node, _ in built
            if node["resource_type"] == "seed"
        }
        return [
            Statement(
                result["relation_name"],
                node["config"]["materialized"],
                result["compiled_code"],
                (target / "run" / "accountpulse" / node["original_file_path"]).read_text(),
            )
            for node, result in built
            if node["resource_type"] == "model"
        ]

    def run(self, case: Case) -> duckdb.DuckDBPyConnection:
        """Return a database in memory that holds every model, built from the case."""
        connection = self.open(case)
        self.deliver(connection, case.raw, 1)
        self.build(connection, case.as_of, case.timezone)
        return connection

    def open(self, case: Case) -> duckdb.DuckDBPyConnection:
        """Return a database in memory with the dials of a case and raw tables without rows."""
        connection = duckdb.connect()
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 1")  # a few rows: further ones only get in the way
        connection.execute("attach ':memory:' as work")
        connection.execute("use work")
        schemas = ("raw", "reference", "staging", "intermediate", "marts", "ops")
        for schema in (*schemas, "superseded", "renewed"):
            connection.execute(f"create schema work.{schema}")
        for table in RAW_COLUMNS:
            connection.execute(f"create table raw.{table} ({raw_columns(table)})")
        self.tell(connection, case)
        return connection

    def tell(self, connection: duckdb.DuckDBPyConnection, case: Case) -> None:
        """Replace the dials by those of a case."""
        for table, columns in self.dial_types.items():
            ddl = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f"create or replace table reference.{table} ({ddl})")
            rows = [
                [row.get(name) or None for name in columns] for row in case.dials.get(table, [])
            ]
            fill(connection, f"reference.{table}", rows)

    def deliver(self, connection: duckdb.DuckDBPyConnection, raw: Tables, load: int) -> None:
        """Append raw rows as one load."""
        for table in RAW_COLUMNS:
            names = (*RAW_COLUMNS[table], *FURTHER_COLUMNS[table])
            rows = [
                [*(as_text(row.get(name)) for name in names), row.get("_load_id", load)]
                for row in raw[table]
            ]
            fill(connection, f"raw.{table}", rows)

    def build(
        self,
        connection: duckdb.DuckDBPyConnection,
        as_of: date,
        timezone: str,
        known: Known | None = None,
        restate_from: date | None = None,
    ) -> None:
        """Build every model: anew, or from what a run left that knew less.

        Args:
            connection: from `open`.
            as_of: the day to describe.
            timezone: in which days are cut.
            known: what that run knew; None: everything is built anew.
            restate_from: first day to work out anew, whatever was delivered since.
        """
        restating = self.restating_from if restate_from else self.restating
        for statement in restating if known else self.statements:

            def told(sql: str) -> str:
                sql = sql.replace(SOME_DATE, str(as_of)).replace(SOME_TIMEZONE, timezone)
                if known:
                    sql = sql.replace(KNOWN_DATE, str(known.as_of))
                    sql = sql.replace(str(KNOWN_LOAD), str(known.load))
                    sql = sql.replace(RESTATE_FROM, str(restate_from))
                return sql

            select, kind = told(statement.select), statement.kind
            if known and kind == "incremental":
                if statement.fresh:
                    connection.execute(f"create temp table {statement.fresh} as {select}")
                connection.execute(told(statement.script))
                if statement.fresh:
                    connection.execute(f"drop table {statement.fresh}")
            else:
                kind = "view" if kind == "view" else "table"
                connection.execute(f"create or replace {kind} {statement.relation} as {select}")


def empty_warehouse(folder: Path) -> Settings:
    """Return a warehouse with raw tables that hold no row, made in an empty folder."""
    settings = Settings.resolve(warehouse=folder, seeds=CHECKOUT / "seeds")
    with duckdb.connect(str(settings.work_db)) as connection:
        connection.execute("create schema raw")
        for table in RAW_COLUMNS:
            connection.execute(f"create table raw.{table} ({raw_columns(table)})")
    return settings


def dbt(settings: Settings, *arguments: str, **variables: str) -> None:
    """Run dbt on a warehouse as a run does, in a process of its own with the parsed project."""
    told = [*arguments, *dbt_arguments(settings, **variables)]
    invocation = dbt_process.Invocation(settings, parsed_project(settings), told)
    with patch.dict(os.environ):  # where the process finds its settings, and others not
        for _ in dbt_process.invoke(invocation):
            pass


def raw_columns(table: str) -> str:
    """Return the columns of a raw table as DDL: text, and the load that brought a row."""
    names = (*RAW_COLUMNS[table], *FURTHER_COLUMNS[table])
    return ", ".join([*(f'"{name}" varchar' for name in names), "_load_id bigint"])


def fill(connection: duckdb.DuckDBPyConnection, table: str, rows: list[list[Any]]) -> None:
    """Insert rows of text into a table, cast by its columns."""
    if rows:
        marks = ", ".join(["?"] * len(rows[0]))
        connection.executemany(f"insert into {table} values ({marks})", rows)


def as_text(value: object) -> str | None:
    """Return a raw value as a text file holds it."""
    if value is None:
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
