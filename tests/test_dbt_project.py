"""The dbt project by its own means: unit tests of the logic, contracts and data tests, on no rows.

Deprecations are errors. What the models make of rows is compared in `test_marts_reference`.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import duckdb
import pytest
from marts import DBT, raw_columns
from raw_cases import RAW_COLUMNS

from orchestration.project import CHECKOUT, DBT_PROJECT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a work file with raw tables that hold no row."""
    path = tmp_path_factory.mktemp("dbt") / "work.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema raw")
        for table in RAW_COLUMNS:
            connection.execute(f"create table raw.{table} ({raw_columns(table)})")
    return path


def dbt(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dbt on a work file, deprecations as errors."""
    return subprocess.run(
        [
            *(str(DBT), "--no-use-colors", "--warn-error-options", '{"error": ["Deprecations"]}'),
            *arguments,
            *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
            *("--target-path", str(work.parent / "target")),
            *("--log-path", str(work.parent / "logs")),
            *("--vars", "{as_of_date: 2026-01-31}"),
        ],
        env=os.environ
        | {"ACCOUNTPULSE_WORK_DB": str(work), "ACCOUNTPULSE_SEEDS": str(CHECKOUT / "seeds")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_models_unit_tests_contracts_and_data_tests_pass(work: Path) -> None:
    built = dbt(work, "build", "--exclude", "tag:after_signals")

    assert built.returncode == 0, built.stdout[-3000:]
    assert "ERROR=0 SKIP=0" in built.stdout


def test_unit_tests_of_what_reads_the_signals_pass(work: Path) -> None:
    tested = dbt(work, "test", "--select", "account_health,test_type:unit")

    assert tested.returncode == 0, tested.stdout[-3000:]
    assert "PASS=0" not in tested.stdout
