"""What a daily run costs on a short and on a long history: whole processes, rows read and written.

Usage: history.py [--sizes 1000000 10000000]. One product is simulated; each history ends on the
same day, so that the new day is the same everywhere. Of several runs the median is shown. Rows are
counted in a run of their own, because counting takes time: read is what DuckDB's scans gave,
written is what was inserted into tables of the work file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
from bench import Measured, measure, median
from rich.console import Console
from rich.table import Table

COUNTED = [sys.executable, str(Path(__file__).with_name("counted.py"))]
DAYS = 365
LATE_DAYS = 100
LATE_EVENTS = 10


@dataclass(frozen=True)
class History:
    """A warehouse that knows all but the last day, and what is yet to land.

    Args:
        folder: holds `raw` and `warehouse`.
        events: track calls in it.
        missed: landing files of the days between, if any.
        new_day: landing files of the last day.
        late: landing file of a few events of long ago.
        as_of: the last day.
        first: the run that made it.
    """

    folder: Path
    events: int
    missed: Path
    new_day: Path
    late: Path
    as_of: date
    first: Measured


def make_history(
    simulated: Path, folder: Path, events: int | None, as_of: date, missed_days: int = 0
) -> History:
    """Lay down the newest rows of a simulation, and run everything on all but its last days.

    Args:
        simulated: the simulation.
        folder: where the history goes.
        events: about so many track calls; None: all, in the simulation's own files where a file
            has nothing of the last days.
        as_of: the last day.
        missed_days: days before it that have not landed either.
    """
    landing = folder / "raw"
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    dated = (
        "(select *, coalesce(received_at, timestamp, timestamp '2000-01-01') as arrived_at"
        f" from '{simulated}/{{}}.parquet')"
    )
    tracks = dated.format("tracks/*")
    last_known = as_of - timedelta(days=1 + missed_days)
    known = f"arrived_at < date '{last_known}' + 1"
    newest = known
    if events is not None:
        ((first,),) = connection.execute(
            f"select min(arrived_at) from (select arrived_at from {tracks}"
            f" where {known} order by arrived_at desc limit {events})"
        ).fetchall()
        newest = f"{known} and arrived_at >= timestamp '{first}'"

    def write(rows: str, where: str, path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        ((count,),) = connection.execute(
            f"copy (select * exclude arrived_at from {rows} where {where}) to '{path}'"
            " (format parquet, compression zstd)"
        ).fetchall()
        return int(count)

    new = f"arrived_at >= date '{as_of}'"
    between = f"not ({known}) and not ({new})"
    count = 0
    if events is None:
        for path in sorted((simulated / "tracks").iterdir()):
            rows = dated.format(f"tracks/{path.stem}")
            in_file, left = connection.execute(
                f"select count(*), count(*) filter (not ({known})) from {rows}"
            ).fetchall()[0]
            if left:
                newest = f"{known} and arrived_at >= date '{path.stem[-10:]}'"
                break
            (landing / "tracks").mkdir(parents=True, exist_ok=True)
            os.link(path, landing / "tracks" / path.name)
            count += in_file
    count += write(tracks, newest, landing / "tracks-1.parquet")
    for table, rows in (
        ("tracks", tracks),
        ("identifies", dated.format("identifies")),
        ("groups", dated.format("groups")),
    ):
        if table != "tracks":
            write(rows, known, landing / f"{table}-1.parquet")
        if missed_days:
            write(rows, between, folder / "missed" / f"{table}-missed.parquet")
        write(rows, new, folder / "new" / f"{table}-2.parquet")
    day = as_of - timedelta(days=LATE_DAYS)
    late = (
        f"(select * replace (id || '-late' as id, timestamp '{as_of} 12:00:00' as received_at)"
        f" from {tracks} where timestamp::date = date '{day}' and user_id is not null"
        f" order by id limit {LATE_EVENTS})"
    )
    write(late, "true", folder / "late" / "tracks-3.parquet")
    connection.close()
    places = (folder / "missed", folder / "new", folder / "late")
    first = measure(*run_arguments(folder, last_known))
    return History(folder, count, *places, as_of, first)


def run_arguments(folder: Path, as_of: date) -> tuple[str | Path, ...]:
    """Return the arguments of a daily run on a history's folder."""
    places = ("--raw", folder / "raw", "--warehouse", folder / "warehouse")
    return ("run", *places, "--as-of", as_of.isoformat())


def timed(history: History, landing: Path | None, repeat: int) -> tuple[Measured, int, int]:
    """Measure a run that finds these files, from the same state each time; then count its rows.

    Args:
        history: the warehouse; holds the run's result afterwards.
        landing: what lands before the run; None: nothing.
        repeat: timed runs.

    Returns:
        The median, and the rows read and written.
    """
    before = history.folder / "before"
    shutil.copytree(history.folder / "warehouse", before, symlinks=True)
    for path in landing.iterdir() if landing else ():
        shutil.copy2(path, history.folder / "raw")
    arguments = run_arguments(history.folder, history.as_of)
    told = history.folder / "rows.json"
    environment = os.environ | {"ACCOUNTPULSE_COUNTED": str(told)}
    subprocess.run(
        [*COUNTED, *map(str, arguments)], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    rows = json.loads(told.read_text())
    runs = []
    for _ in range(repeat):
        shutil.rmtree(history.folder / "warehouse")
        shutil.copytree(before, history.folder / "warehouse", symlinks=True)
        runs.append(measure(*arguments))
    shutil.rmtree(before)
    return median(runs), *(sum(rows[what].values()) for what in ("read", "written"))


def main() -> None:
    """Measure every kind of run on every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--accounts", type=int, default=330)
    parser.add_argument("--repeat", type=int, default=3, help="timed runs of each kind")
    options = parser.parse_args()
    console = Console(width=max(Console().width, 120))
    table = Table(title=f"{options.accounts} accounts · {os.cpu_count()} processors")
    for name in (
        "run",
        "events before",
        "seconds",
        "against the first",
        "processor s",
        "rows read",
        "rows written",
    ):
        table.add_column(name, justify="left" if name == "run" else "right")
    with tempfile.TemporaryDirectory() as name, console.status("simulating") as status:
        simulated = Path(name) / "simulated"
        size = ("--accounts", options.accounts, "--days", DAYS, "--events", max(options.sizes))
        measure("simulate", *map(str, size), "--out", simulated)
        as_of = date.fromisoformat(json.loads((simulated / "simulation.json").read_text())["until"])
        first: dict[str, float] = {}
        for events in options.sizes:
            status.update(f"a history of {events:,} events")
            history = make_history(simulated, Path(name) / str(events), events, as_of)
            normal = 0.0
            for kind, landing in (
                ("one new day", history.new_day),
                (f"{LATE_EVENTS} events of {LATE_DAYS} days ago", history.late),
            ):
                status.update(f"{history.events:,} events: {kind}")
                run, read, written = timed(history, landing, options.repeat)
                first.setdefault(kind, run.wall)
                normal = normal or run.wall
                ratio = f"{run.wall / first[kind]:.2f} x"
                if landing is history.late:
                    ratio += f"; {run.wall / normal:.2f} x a new day"
                table.add_row(
                    kind,
                    f"{history.events:,}",
                    f"{run.wall:.1f}",
                    ratio,
                    f"{run.processor:.1f}",
                    f"{read:,}",
                    f"{written:,}",
                )
    console.print(table)


if __name__ == "__main__":
    main()
