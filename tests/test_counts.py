"""What a daily run does, in counts: statements, and rows read and written per table.

Seconds differ from machine to machine and from hour to hour; counts do not. `counts.json` holds
what was counted last; a run that does clearly more fails, with the tables it does more on. To take
new counts over: `ACCOUNTPULSE_TAKE_COUNTS=1 pytest tests/test_counts.py`.
"""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from test_catch_up import deliver, run

from orchestration.project import CHECKOUT
from orchestration.simulate import simulate

COUNTS = Path(__file__).with_name("counts.json")
LAST = date(2026, 3, 4)
MORE = 1.1
FEW = 200


def counted(folder: Path) -> dict[str, Any]:
    """Counts of a run that finds one new day on a simulated history."""
    simulated, raw, warehouse = folder / "simulated", folder / "raw", folder / "warehouse"
    simulate(simulated, accounts=30, days=60, events=8_000, until=LAST)
    deliver(simulated, raw, LAST - timedelta(days=1), "<=")
    run(raw, warehouse, LAST - timedelta(days=1))
    deliver(simulated, raw, LAST)
    told = folder / "counts.json"
    subprocess.run(
        [
            *(sys.executable, str(CHECKOUT / "benchmarks" / "counted.py"), "run"),
            *("--raw", str(raw), "--warehouse", str(warehouse), "--as-of", str(LAST)),
        ],
        env=os.environ | {"ACCOUNTPULSE_COUNTED": str(told)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    counts: dict[str, Any] = json.loads(told.read_text())
    return counts


def risen(before: dict[str, int], now: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Tables of which clearly more rows are touched: rows before, and now."""
    return {
        table: (before.get(table, 0), rows)
        for table, rows in now.items()
        if rows > MORE * before.get(table, 0) + FEW
    }


def test_a_daily_run_does_no_more_than_it_did(tmp_path: Path) -> None:
    now = counted(tmp_path)
    if "ACCOUNTPULSE_TAKE_COUNTS" in os.environ:
        COUNTS.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    before = json.loads(COUNTS.read_text())
    assert now["statements"] <= MORE * before["statements"]
    assert risen(before["read"], now["read"]) == {}
    assert risen(before["written"], now["written"]) == {}


def test_more_rows_are_noticed() -> None:
    before = {"marts.users": 1_000, "marts.accounts": 10}
    assert risen(before, {"marts.users": 1_300, "marts.accounts": 200}) == {}
    assert risen(before, {"marts.users": 1_301, "intermediate.new": 201}) == {
        "marts.users": (1_000, 1_301),
        "intermediate.new": (0, 201),
    }
