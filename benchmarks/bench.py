"""How fast and how small: the product's own commands as whole processes, beside their targets.

    make bench                   # the demo at its full size
    .venv/bin/python benchmarks/bench.py --repeat 5

Nothing here fails: machines differ. Times are of whole processes, memory is the peak of the
largest one; of several runs the median is shown.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

COMMAND = [sys.executable, "-m", "orchestration.cli"]


@dataclass(frozen=True)
class Measured:
    """One run of a command: wall seconds, processor seconds, peak memory in megabytes."""

    wall: float
    processor: float
    peak: float


def measure(*arguments: str | Path) -> Measured:
    """Run a command of the product to its end and measure it.

    Raises:
        SystemExit: the command failed; what it said is printed.
    """
    return measure_process(*COMMAND, *arguments)


def measure_process(*command: str | Path, **environment: str) -> Measured:
    """Run a process to its end and measure it.

    Args:
        command: the program and its arguments.
        environment: variables for it, on top of ours.

    Raises:
        SystemExit: it failed; what it said is printed.
    """
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=said,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(said.read().decode())
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(runs: list[Measured]) -> Measured:
    """Return the median of each figure."""
    return Measured(
        *(
            statistics.median(getattr(run, name) for run in runs)
            for name in ("wall", "processor", "peak")
        )
    )


def main() -> None:
    """Measure every command and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each short command")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the demo")
    options = parser.parse_args()

    table = Table(
        title=f"{options.events:,} events, 300 accounts, 180 days"
        f" · {os.cpu_count()} processors · Python {platform.python_version()}"
        f" · DuckDB {duckdb.__version__}"
    )
    for name in ("what", "seconds", "target", "processor s", "peak MB", "target"):
        table.add_column(name, justify="left" if name == "what" else "right")

    def show(what: str, run: Measured, seconds: str = "", megabytes: str = "") -> None:
        table.add_row(
            what, f"{run.wall:.1f}", seconds, f"{run.processor:.1f}", f"{run.peak:.0f}", megabytes
        )

    console = Console(width=max(Console().width, 120))
    with tempfile.TemporaryDirectory() as name, console.status("measuring") as status:
        folder = Path(name) / "demo"
        places = ("--raw", folder / "raw", "--warehouse", folder / "warehouse")
        # A new user's first demo has the manifest that `make environment` made; so has ours.
        status.update("demo")
        demo = measure("demo", "--events", str(options.events), "--folder", folder)
        show("demo: simulate, run, report", demo, "≤ 60", "≤ 1536")
        for what, arguments, target in (
            ("run, nothing new", ("run", *places), "≤ 15"),
            ("run, everything anew", ("run", *places, "--full-refresh"), ""),
            ("check", ("check", *places), "≤ 2"),
            ("query", ("query", "select * from account_health", *places[2:]), ""),
        ):
            status.update(what)
            runs = [measure(*arguments) for _ in range(options.repeat)]
            show(what, median(runs), target)
        status.update("simulate")
        size = ("--accounts", "300", "--days", "180", "--events", str(options.events))
        made = measure("simulate", *size, "--out", Path(name) / "made")
        show("simulate", made, "≤ 5")
    console.print(table)


if __name__ == "__main__":
    main()
