"""The dbt project by its own means: unit tests of the logic, contracts and data tests, on no rows.

Deprecations are errors. Checks that pass on no rows are shown to fail on wrong ones. What the
models make of rows is compared in `test_marts_reference`.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import duckdb
import pytest
from marts import dbt, empty_warehouse

from orchestration.errors import RunError
from orchestration.project import CHECKOUT, DBT_PROJECT, Settings

if TYPE_CHECKING:
    from typing import Any


DBT = CHECKOUT / ".venv" / "bin" / "dbt"
DAY = "2026-01-31"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a warehouse with raw tables that hold no row."""
    return empty_warehouse(tmp_path_factory.mktemp("dbt"))


def dbt_alone(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dbt's own command on a warehouse, deprecations as errors."""
    return subprocess.run(
        [
            *(str(DBT), "--no-use-colors", "--warn-error-options", '{"error": ["Deprecations"]}'),
            *arguments,
            *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
            *("--target-path", str(settings.dbt_target), "--log-path", str(settings.dbt_target)),
            *("--vars", f"{{as_of_date: {DAY}}}"),
        ],
        env=os.environ | settings.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_models_unit_tests_contracts_and_data_tests_pass(settings: Settings) -> None:
    built = dbt_alone(settings, "build", "--exclude", "tag:after_signals")

    assert built.returncode == 0, built.stdout[-3000:]
    assert "ERROR=0 SKIP=0" in built.stdout


def test_unit_tests_of_what_reads_the_signals_pass(settings: Settings) -> None:
    tested = dbt_alone(settings, "test", "--select", "account_health,test_type:unit")

    assert tested.returncode == 0, tested.stdout[-3000:]
    assert "PASS=0" not in tested.stdout


def test_what_models_left_that_are_no_more_goes_where_everything_is_built_anew(
    settings: Settings,
) -> None:
    """What people keep in schemas named like ours stays."""
    former = ["intermediate.int_of_before", "renewed.int_of_before", "superseded.of_before"]
    theirs = ["intermediate.of_theirs", "ops.of_theirs", "staging.stg_of_theirs"]
    with duckdb.connect(str(settings.work_db)) as connection:
        for name in (*former, *theirs):
            connection.execute(f"create table {name} as select 1 as a")
    run = ("run", "--select", "int_known_run")
    dbt(settings, *run, as_of_date=DAY, known_load="1", known_as_of="2026-01-30")
    assert there(settings, former + theirs) == former + theirs

    dbt(settings, *run, as_of_date=DAY)

    assert there(settings, former + theirs) == theirs


def there(settings: Settings, names: list[str]) -> list[str]:
    """Return which of some tables, as schema.name, are in the work file."""
    with duckdb.connect(str(settings.work_db)) as connection:
        found = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
    return [name for name in names if (name,) in found]


def wrong_rows(test: dict[str, Any]) -> tuple[dict[str, str], int]:
    """Return what stands in a row that a check of ours must find, if it is there twice.

    Args:
        test: the check, as the manifest has it.

    Returns:
        Values by column, all others null, and how many failures they are.
    """
    columns = test["test_metadata"]["kwargs"]["columns"]
    values = {}
    if "date_day" in (test["config"]["where"] or ""):
        values["date"] = f"date '{DAY}'"
    if test["test_metadata"]["name"] == "key":
        return values, 1
    return values | dict.fromkeys(columns, "'nobody knows this'"), len(columns)


def test_checks_of_keys_and_values_find_what_is_wrong(settings: Settings) -> None:
    built = ("build", "--full-refresh", "--exclude", "tag:after_signals", "test_type:unit")
    dbt(settings, *built, as_of_date=DAY)
    nodes = json.loads((settings.dbt_target / "manifest.json").read_text())["nodes"]
    with duckdb.connect(str(settings.work_db)) as connection:
        for view in ("event_usage_daily", "user_engagement_daily"):  # they take no wrong rows
            connection.execute(f"create table {view} as from marts.{view} limit 0")
            connection.execute(f"drop view marts.{view}")
            connection.execute(f"create table marts.{view} as from {view}")
    for kind in ("key", "known_values"):
        expected = {}
        tests = [
            test
            for test in nodes.values()
            if (test.get("test_metadata") or {}).get("name") == kind
            and "after_signals" not in nodes[test["attached_node"]]["tags"]
        ]
        with duckdb.connect(str(settings.work_db)) as connection:
            connection.execute(
                "insert into intermediate.int_restated_days (date_day) values (?)", [DAY]
            )
            for test in tests:
                node = nodes[test["attached_node"]]
                table = f"{node['schema']}.{node['name']}"
                connection.execute(f"create or replace table {table} as from {table} limit 0")
                values, failures = wrong_rows(test)
                expected[test["unique_id"]] = failures
                names, said = ", ".join(values), ", ".join(values.values())
                row = f"({names}) values ({said})" if values else "default values"
                for _ in range(2):
                    connection.execute(f"insert into {table} {row}")

        asked = ("test", "--select", f"test_name:{kind}", "--exclude", "tag:after_signals")
        with pytest.raises(RunError, match="failed with"):
            dbt(settings, *asked, as_of_date=DAY)

        results = json.loads((settings.dbt_target / "run_results.json").read_text())["results"]
        found = {result["unique_id"]: result["failures"] for result in results}
        assert len(expected) > 20
        assert {test: found.get(test) for test in expected} == expected
