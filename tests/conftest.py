"""The order of the tests: files of whole runs first, so that no processor idles at the end."""

import pytest

WHOLE_RUNS = (
    *("test_daily_runs.py", "test_incremental.py", "test_erasure.py", "test_catch_up.py"),
    *("test_dial_changes.py", "test_cli.py", "test_floor.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the longest tests before all others."""
    items.sort(
        key=lambda item: (
            WHOLE_RUNS.index(item.path.name) if item.path.name in WHOLE_RUNS else len(WHOLE_RUNS)
        )
    )
