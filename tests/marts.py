"""The dbt models without dbt: their SQL compiled once, then run on small raw data in memory.

A dbt run of one small case takes seconds; its statements take a fraction of one. What belongs
here: compiling the project and running its SELECTs in order. Expected values do not belong here.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import duckdb
from raw_cases import RAW_COLUMNS, Case

from orchestration.project import CHECKOUT, DBT_PROJECT

if TYPE_CHECKING:
    from pathlib import Path

# Replaced in the compiled SQL by a case's own; no data may hold them.
SOME_DATE = "2222-02-22"
SOME_TIMEZONE = "Pacific/Kiritimati"
DBT = CHECKOUT / ".venv" / "bin" / "dbt"
FURTHER_COLUMNS = {"tracks": ("_load_id",), "identifies": ("team",), "groups": ("industry",)}


@dataclass(frozen=True)
class Statement:
    """One model of the project: where it goes and its SELECT."""

    relation: str
    kind: str
    select: str


class CompiledMarts:
    """Every model of the dbt project that needs no Python mart, ready to run on a case.

    Args:
        folder: an empty folder to compile in.
        project: the dbt project.
    """

    def __init__(self, folder: Path, project: Path = DBT_PROJECT) -> None:
        work = folder / "work.duckdb"
        with duckdb.connect(str(work)) as connection:
            connection.execute("create schema raw")
            for table in RAW_COLUMNS:
                connection.execute(f"create table raw.{table} ({raw_columns(table)})")
        subprocess.run(
            [
                *(str(DBT), "build", "--quiet", "--exclude", "tag:after_signals"),
                *("resource_type:test", "resource_type:unit_test", "--threads", "1"),
                *("--project-dir", str(project), "--profiles-dir", str(project)),
                *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs")),
                "--vars",
                f"{{as_of_date: '{SOME_DATE}', reporting_timezone: {SOME_TIMEZONE}}}",
            ],
            env=os.environ
            | {"ACCOUNTPULSE_WORK_DB": str(work), "ACCOUNTPULSE_SEEDS": str(CHECKOUT / "seeds")},
            check=True,
        )
        nodes = json.loads((folder / "target" / "manifest.json").read_bytes())["nodes"]
        results = json.loads((folder / "target" / "run_results.json").read_bytes())["results"]
        config = {result["unique_id"]: nodes[result["unique_id"]]["config"] for result in results}
        self.statements = [
            Statement(
                result["relation_name"],
                "view" if config[result["unique_id"]]["materialized"] == "view" else "table",
                result["compiled_code"],
            )
            for result in results
            if nodes[result["unique_id"]]["resource_type"] == "model"
        ]
        self.dial_types = {
            nodes[unique_id]["name"]: config[unique_id]["column_types"]
            for unique_id in config
            if nodes[unique_id]["resource_type"] == "seed"
        }

    def run(self, case: Case) -> duckdb.DuckDBPyConnection:
        """Return a database in memory that holds every model, built from the case."""
        connection = duckdb.connect()
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("attach ':memory:' as work")
        connection.execute("use work")
        for schema in ("raw", "reference", "staging", "intermediate", "marts", "ops"):
            connection.execute(f"create schema work.{schema}")
        for table in RAW_COLUMNS:
            names = (*RAW_COLUMNS[table], *FURTHER_COLUMNS[table])
            connection.execute(f"create table raw.{table} ({raw_columns(table)})")
            rows = [[as_text(row.get(name)) for name in names] for row in case.raw[table]]
            fill(connection, f"raw.{table}", rows)
        for table, columns in self.dial_types.items():
            ddl = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f"create table reference.{table} ({ddl})")
            rows = [
                [row.get(name) or None for name in columns] for row in case.dials.get(table, [])
            ]
            fill(connection, f"reference.{table}", rows)
        for statement in self.statements:
            select = statement.select.replace(SOME_DATE, str(case.as_of))
            select = select.replace(SOME_TIMEZONE, case.timezone)
            connection.execute(f"create {statement.kind} {statement.relation} as {select}")
        return connection


def raw_columns(table: str) -> str:
    """Return the columns of a raw table as DDL, but for the load all of them text."""
    names = (*RAW_COLUMNS[table], *FURTHER_COLUMNS[table])
    return ", ".join(f'"{name}" {"bigint" if name == "_load_id" else "varchar"}' for name in names)


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
