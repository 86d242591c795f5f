"""How time, memory and disk grow with the raw data, beside a floor, and what is aimed at.

Usage: scale.py [--quick] [--sizes 1000000 10000000 100000000] [--folder DIR]. For each size a
product is simulated over a year. Then, as whole processes, one after the other: the floor (the same
numbers by hand-written SQL and nothing else, `floor.sql`), everything built anew by `accountpulse
run`, 30 missed days caught up in one run, a daily run, and on smaller sizes the two ways that one
would try first: pandas, and a dbt project that rebuilds every model. All are checked to give the
published numbers. Nothing fails for being slow: what misses its aim is red.

A simulation is a month longer than a year: its last 30 days are those that were missed, and the one
after them is the new day. Without these it has the events of its size, and a year.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from bench import COMMAND, Measured, measure, measure_process, median
from floor import SEEDS, differences
from history import DAYS, History, make_history, run_arguments
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
SIZES = [1_000_000, 10_000_000, 100_000_000]
SMALL = 1_000_000
ACCOUNTS_PER_MILLION = 33
ANALYST_LIMIT = 10_000_000
MISSED_DAYS = 30
FIXED_EVENTS = 1_000
FIXED_SECONDS = 12
BI_REPEATS = 20
MEMORY_LIMIT = "3GB"

# What an analyst's ways give: one score model, floats.
ENGAGEMENT = """
    select
        account_id, date, event_count,
        {columns}
        cast(round(engagement_points, 4) as decimal(18, 4)),
        cast(round(engagement_score, 6) as decimal(18, 6)),
        cast(round(benchmark_points, 6) as decimal(18, 6))
    from {{}}
    where score_model = 'default'
"""
ENGAGED = {
    "account_engagement_daily": ENGAGEMENT.format(columns="user_count, active_user_count,"),
    "user_engagement_daily": ENGAGEMENT.format(columns="user_id,"),
}
ACTIVATED = {
    "account_activation": """
        select
            account_id, step_count, completed_step_count, user_count,
            cast(round(activation_rate, 6) as decimal(18, 6))
        from {}
    """
}


@dataclass
class Column:
    """What was measured on one size.

    Args:
        events: track calls that the full build reads.
        cells: by what was measured, how it is shown.
        seconds: by what was measured, its seconds.
    """

    events: int
    cells: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def show(self, what: str, text: str, value: float, aim: float | None = None) -> None:
        """Note a cell; it is red if the value is above its aim."""
        self.cells[what] = text if aim is None or value <= aim else f"[red]{text}[/red]"

    def took(self, what: str, run: Measured) -> None:
        """Note the seconds of a run."""
        self.seconds[what] = run.wall
        self.show(what, f"{run.wall:.1f}", run.wall)

    def ratio(self, what: str, one: str, other: str, aim: float | None = None) -> None:
        """Note how many times the seconds of another one took."""
        times = self.seconds[one] / self.seconds[other]
        self.show(what, f"{times:.2f} x", times, aim)


def simulated(folder: Path, events: int, days: int = DAYS) -> Path:
    """Return a simulation of about so many events, made unless it is there."""
    if not (folder / "truths.json").exists():  # which comes last
        shutil.rmtree(folder, ignore_errors=True)
        accounts = max(round(events / 1_000_000 * ACCOUNTS_PER_MILLION), 3)
        size = ("--accounts", accounts, "--days", days, "--events", events)
        measure("simulate", *map(str, size), "--out", folder)
    return folder


def last_day(simulation: Path) -> date:
    """Return the last day of a simulation."""
    return date.fromisoformat(json.loads((simulation / "simulation.json").read_text())["until"])


def last_built(history: History) -> date:
    """Return the day that the full build of a history describes."""
    return history.as_of - timedelta(days=1 + MISSED_DAYS)


def published(warehouse: Path) -> Path:
    """Return the database file that readers open."""
    return warehouse / "published" / "current" / "accountpulse.duckdb"


def check(what: str, out: Path, warehouse: Path, some: dict[str, str] | None = None) -> None:
    """End with a message unless the numbers are the published ones."""
    if found := differences(out, published(warehouse), some):
        sys.exit(f"{what} gives other numbers than what is published: " + "; ".join(found))


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def land(history: History, files: Path) -> None:
    """Put files into the landing folder."""
    for path in files.iterdir():
        shutil.copy2(path, history.folder / "raw")


def warm_query(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    """Return the median milliseconds of a query that was asked before."""
    times = []
    connection.execute(query).fetchall()
    for _ in range(BI_REPEATS):
        begun = time.perf_counter()
        connection.execute(query).fetchall()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def measure_builds(
    column: Column, history: History, repeat: int, tell: Callable[[str], None]
) -> None:
    """Measure the floor beside the full build that made a history, and what the build left."""
    raw_files, warehouse = history.folder / "raw", history.folder / "warehouse"
    as_of, out, full = last_built(history), history.folder / "floor.duckdb", history.first
    tell("the floor")
    script = (sys.executable, HERE / "floor.py", raw_files, str(as_of), out)
    floor = median([measure_process(*script) for _ in range(repeat)])
    check("the floor", out, warehouse)
    column.took("the floor, s", floor)
    column.show("the floor, peak MB", f"{floor.peak:,.0f}", floor.peak)
    column.took("full build, s", full)
    column.ratio("full build ÷ floor", "full build, s", "the floor, s", 1.5)
    column.show("full build, peak MB", f"{full.peak:,.0f}", full.peak, 8 * 1024)
    per_million = full.wall / history.events * 1_000_000
    column.seconds["per million"] = per_million
    column.show("full build, s per million", f"{per_million:.1f}", per_million)

    raw, work = size_of(raw_files), size_of(warehouse / "work.duckdb")
    marts = size_of(published(warehouse).parent / "parquet")
    column.show("raw Parquet, MB", f"{raw / 1e6:,.0f}", 0)
    column.show("work file ÷ raw Parquet", f"{work / raw:.2f} x", work / raw, 1.5)
    file = size_of(published(warehouse))
    column.show("published file, MB", f"{file / 1e6:,.0f}", 0)
    column.show("the marts as Parquet, MB", f"{marts / 1e6:,.0f}", 0)
    with closing(duckdb.connect(str(published(warehouse)), read_only=True)) as connection:
        ((account, owner),) = connection.execute(
            "select account_id, account_owner from marts.account_health"
            " where account_owner is not null order by open_risk_count desc, account_id limit 1"
        ).fetchall()
        for what, query in {
            "BI: accounts of an owner with a flag, ms": (
                "select * from marts.account_health where account_owner = "
                f"'{owner}' and first_flag_key is not null order by mrr desc"
            ),
            "BI: one account's 365 days, ms": (
                "select date, engagement_score from marts.account_engagement_daily where"
                f" account_id = '{account}' and is_default_model"
                f" and date > date '{as_of}' - 365 order by date"
            ),
        }.items():
            taken = warm_query(connection, query)
            column.show(what, f"{taken:.1f}", taken, 50)


def measure_limited(column: Column, history: History) -> None:
    """Measure a full build that may take little memory."""
    folder = history.folder / "limited"
    places = ("--raw", history.folder / "raw", "--warehouse", folder)
    build = (*COMMAND, "run", *places, "--as-of", str(last_built(history)))
    limited = measure_process(*build, "--memory-limit", MEMORY_LIMIT)
    shutil.rmtree(folder)
    column.took(f"full build with {MEMORY_LIMIT}, s", limited)
    column.ratio(
        f"full build with {MEMORY_LIMIT} ÷ floor",
        f"full build with {MEMORY_LIMIT}, s",
        "the floor, s",
        2.5,
    )
    column.show(f"full build with {MEMORY_LIMIT}, peak MB", f"{limited.peak:,.0f}", limited.peak)


def measure_analysts(column: Column, history: History, tell: Callable[[str], None]) -> None:
    """Measure what one would try first, on the same raw files."""
    folder, as_of = history.folder, str(last_built(history))
    raw, warehouse = folder / "raw", folder / "warehouse"
    in_pandas, in_dbt = folder / "pandas.duckdb", folder / "naive.duckdb"
    told = {"raw": str(raw.resolve()), "seeds": str(SEEDS), "as_of": as_of}
    dbt = (
        *(Path(sys.executable).with_name("dbt"), "run", "--vars", json.dumps(told)),
        *("--project-dir", HERE / "naive", "--profiles-dir", HERE / "naive"),
        *("--target-path", folder / "naive", "--log-path", folder / "naive"),
    )
    pandas = (sys.executable, HERE / "pandas_way.py", raw, as_of, in_pandas)
    for what, command, out, checked in (
        ("pandas", pandas, in_pandas, ENGAGED | ACTIVATED),
        ("naive dbt", dbt, in_dbt, ENGAGED),
    ):
        tell(what)
        out.unlink(missing_ok=True)
        run = measure_process(*command, NAIVE_DB=str(in_dbt))
        check(what, out, warehouse, checked)
        column.took(f"{what}, s", run)
        column.ratio(f"{what} ÷ floor", f"{what}, s", "the floor, s")
        column.show(f"{what}, peak MB", f"{run.peak:,.0f}", run.peak)


def measure_days(
    column: Column, history: History, repeat: int, tell: Callable[[str], None]
) -> None:
    """Measure the missed days caught up in one run, then a daily run."""
    tell(f"{MISSED_DAYS} missed days")
    land(history, history.missed)
    day_before = history.as_of - timedelta(days=1)
    caught_up = measure(*run_arguments(history.folder, day_before))
    tell("one new day")
    one_day = daily(history, repeat)
    column.took("one new day, s", one_day)
    column.show("one new day, s", f"{one_day.wall:.1f}", one_day.wall, 20)
    column.took(f"{MISSED_DAYS} missed days, s", caught_up)
    what = f"{MISSED_DAYS} missed days ÷ one new day"
    column.ratio(what, f"{MISSED_DAYS} missed days, s", "one new day, s", 2)


def measure_short(column: Column, simulation: Path, folder: Path, repeat: int) -> None:
    """Measure the same daily run after a history of few events."""
    history = make_history(simulation, folder, SMALL, last_day(simulation))
    column.took("on a short history", daily(history, repeat))
    what = f"one new day ÷ the same after {SMALL:,} events"
    column.ratio(what, "one new day, s", "on a short history", 1.15)


def daily(history: History, repeat: int) -> Measured:
    """Measure a run that finds one new day, from the same state each time; the median."""
    land(history, history.new_day)
    warehouse, before = history.folder / "warehouse", history.folder / "before"
    runs = []
    for number in range(repeat):
        if number < repeat - 1:
            shutil.copytree(warehouse, before, symlinks=True)
        runs.append(measure(*run_arguments(history.folder, history.as_of)))
        if number < repeat - 1:
            shutil.rmtree(warehouse)
            before.rename(warehouse)
    return median(runs)


def fixed_cost(folder: Path) -> float:
    """Return the seconds of a run on next to nothing."""
    simulation = simulated(folder / "simulated", FIXED_EVENTS, 60)
    shutil.rmtree(folder / "warehouse", ignore_errors=True)
    return measure("run", "--raw", simulation, "--warehouse", folder / "warehouse").wall


AIMS = {
    "full build ÷ floor": "≤ 1.5 x",
    "full build, peak MB": "≤ 8192",
    "full build, s per million": "not rising",
    f"full build with {MEMORY_LIMIT} ÷ floor": "≤ 2.5 x",
    "one new day, s": "≤ 20",
    f"one new day ÷ the same after {SMALL:,} events": "≤ 1.15 x",
    f"{MISSED_DAYS} missed days ÷ one new day": "≤ 2 x",
    "work file ÷ raw Parquet": "≤ 1.5 x",
    "published file, MB": "as the marts",
    "BI: accounts of an owner with a flag, ms": "≤ 50",
    "BI: one account's 365 days, ms": "≤ 50",
}
UNSEEN = {"on a short history"}


def table_of(columns: list[Column], fixed: float) -> Table:
    """Return everything as a table: a row per figure, a column per size."""
    for before, column in pairwise(columns):
        text, rising = column.cells["full build, s per million"], column.seconds["per million"]
        column.show("full build, s per million", text, rising, before.seconds["per million"])
    table = Table(
        title=f"{DAYS} days, {ACCOUNTS_PER_MILLION} accounts per million events"
        f" · {os.cpu_count()} processors · Python {platform.python_version()}"
        f" · DuckDB {duckdb.__version__}"
    )
    table.add_column("whole processes", no_wrap=True)
    table.add_column("aim", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(f"{column.events:,} events", justify="right")
    names = dict.fromkeys(name for column in columns for name in column.cells)
    for name in names:
        if name not in UNSEEN:
            cells = (column.cells.get(name, "") for column in columns)
            table.add_row(name, AIMS.get(name, ""), *cells)
    alone = Column(FIXED_EVENTS)
    alone.show("s", f"{fixed:.1f}", fixed, FIXED_SECONDS)
    table.add_row(f"run on {FIXED_EVENTS:,} events, s", f"≤ {FIXED_SECONDS}", alone.cells["s"])
    return table


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="track calls")
    parser.add_argument("--quick", action="store_true", help="a million events only")
    parser.add_argument("--folder", type=Path, help="keeps the simulations, and is used again")
    parser.add_argument(
        "--repeat", type=int, default=3, help="runs of the floor and of a day; the median is shown"
    )
    options = parser.parse_args()
    sizes = [SMALL] if options.quick else sorted(options.sizes)
    repeat = 1 if options.quick else options.repeat
    console = Console(width=max(Console().width, 120))
    columns = []
    with tempfile.TemporaryDirectory() as name, console.status("simulating") as status:
        folder = options.folder or Path(name)
        for events in sizes:

            def tell(what: str, events: int = events) -> None:
                status.update(f"{events:,} events: {what}")

            place = folder / str(events)
            past = place / "history"
            tell("simulating")
            days = DAYS + MISSED_DAYS + 1
            simulation = simulated(place / "simulated", events * days // DAYS, days)
            shutil.rmtree(past, ignore_errors=True)
            tell("full build")
            as_of = last_day(simulation)
            history = make_history(simulation, past, None, as_of, MISSED_DAYS)
            columns.append(column := Column(history.events))
            measure_builds(column, history, options.repeat, tell)
            if not options.quick:
                tell(f"full build with {MEMORY_LIMIT}")
                measure_limited(column, history)
            if events <= ANALYST_LIMIT:
                measure_analysts(column, history, tell)
            measure_days(column, history, repeat, tell)
            shutil.rmtree(past)
            if events > SMALL:
                tell(f"one new day after {SMALL:,} events")
                measure_short(column, simulation, past, repeat)
                shutil.rmtree(past)
        status.update("next to nothing")
        fixed = fixed_cost(folder / str(FIXED_EVENTS))
    console.print(table_of(columns, fixed))


if __name__ == "__main__":
    main()
