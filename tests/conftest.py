"""The order of the tests: the longest files first, so that no processor idles at the end."""

import pytest

LONGEST = (
    *("test_cli.py", "test_daily_runs.py", "test_incremental.py", "test_erasure.py"),
    *("test_catch_up.py", "test_real_data.py", "test_marts_reference.py", "test_dial_changes.py"),
    *("test_wiring.py", "test_dbt_project.py", "test_flag_marts.py", "test_floor.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest before all others."""
    items.sort(
        key=lambda item: (
            LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)
        )
    )
