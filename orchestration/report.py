"""What a person sees: progress of a run, its summary, the demo's first answers, a query's table."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from orchestration.errors import InputError, RunError
from orchestration.project import Settings

if TYPE_CHECKING:
    from orchestration.execution import Listener
    from orchestration.execution import Progress as Happening

ROWS_SHOWN = 100


def open_published(path: Path) -> duckdb.DuckDBPyConnection:
    """Opens a DuckDB file for reading, and nothing else: no file can be written or read with it.

    Raises:
        RunError: it is being written, or is no database.
    """
    try:
        connection = duckdb.connect(
            str(path.resolve()), read_only=True, config={"enable_external_access": "false"}
        )
    except duckdb.Error as error:
        raise RunError(f"{path} cannot be opened: {str(error).splitlines()[0]}") from error
    connection.execute("set TimeZone = 'UTC'")
    ((catalog,),) = connection.execute("select current_catalog()").fetchall()
    schemas = ",".join(f"{catalog}.{schema}" for schema in ("marts", "reference", "ops"))
    connection.execute(f"set search_path = '{schemas}'")
    return connection


def print_query(path: Path, sql: str, form: str, limit: int | None) -> None:
    """Prints what a query says.

    Args:
        path: the DuckDB file.
        sql: one statement.
        form: `table`, `csv` or `json`.
        limit: most rows that are printed; a table shows 100 unless told.

    Raises:
        InputError: DuckDB does not take the statement; the message is DuckDB's.
    """
    connection = open_published(path)
    try:
        cursor = connection.execute(sql)
        columns = [column[0] for column in cursor.description or []]
        most = limit or (ROWS_SHOWN if form == "table" else None)
        rows = cursor.fetchmany(most + 1) if most else cursor.fetchall()
    except duckdb.Error as error:
        raise InputError(f"query: {error}") from error
    finally:
        connection.close()
    more = bool(most) and len(rows) > (most or 0)
    rows = rows[:most]
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    elif form == "json":
        for row in rows:
            print(json.dumps(dict(zip(columns, row, strict=True)), default=str))
    else:
        _console().print(_table(columns, rows))
        if more:
            print(f"the first {most} rows; more with --limit")


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None
) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    numeric = [
        any(row[i] is not None for row in rows)
        and all(
            isinstance(row[i], int | float) or _is_decimal(row[i])
            for row in rows
            if row[i] is not None
        )
        for i in range(len(columns))
    ]
    for name, is_number in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    return table


def _is_decimal(value: object) -> bool:
    return type(value).__name__ == "Decimal"


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    return console


@contextmanager
def progress() -> "Iterator[Listener]":
    """Shows a run while it works: a bar on a terminal, a line per asset everywhere."""
    console = _console()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, pulse_style="cyan"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("starting", total=None)
    counts = {"asset": 0, "check": 0}

    def listen(happening: "Happening") -> None:
        if happening.kind in counts:
            counts[happening.kind] += 1
        if happening.kind == "asset" and happening.row_count is not None:
            bar.console.print(_line(happening))
        elif happening.kind == "check" and not happening.passed:
            what = "warning" if happening.warned else "failed"
            bar.console.print(f"  check {happening.name}: {what}")
        elif happening.kind == "retry":
            bar.console.print(f"  {happening.name}: once more")
        if happening.kind == "step":
            bar.update(task, description=happening.name)
        bar.update(task, refresh=False)

    with bar:
        yield listen


def _line(happening: "Happening") -> str:
    seconds = "" if happening.seconds is None else f"{happening.seconds:8.2f} s"
    return f"  {happening.name:<40}{happening.row_count:>14,} rows{seconds}"


def print_summary(settings: Settings, seconds: float) -> None:
    """Prints what a run brought: who is there, what is flagged, what the raw data was like."""
    connection = open_published(settings.published_db)
    try:
        one = connection.execute(
            """
            select
                (select run_id from ops.runs order by run_id desc limit 1),
                (select as_of_date from ops.runs order by run_id desc limit 1),
                (select count(*) from marts.accounts),
                (
                    select count(*) from marts.account_engagement
                    where is_default_model and is_active
                ),
                (select count(*) from marts.users)
            """
        ).fetchall()
        flags = connection.execute(
            """
            select kind, string_agg(flag_key || ' ' || flag_count, ', ' order by flag_count desc)
            from (
                select kind, flag_key, count(*) as flag_count
                from (
                    select kind, flag_key from marts.account_flags
                    union all
                    select kind, flag_key from marts.user_flags
                )
                group by all
            )
            group by kind order by kind desc
            """
        ).fetchall()
        cursor = connection.execute("select * exclude (as_of_date) from ops.data_quality limit 1")
        names = [column[0] for column in cursor.description or []]
        quality = [
            f"{name.removesuffix('_count').replace('_', ' ')} {count:,}"
            for row in cursor.fetchall()
            for name, count in zip(names, row, strict=True)
            if count
        ]
    finally:
        connection.close()
    ((run_id, as_of, accounts, active, users),) = one
    print(f"\n{run_id} published in {seconds:.1f} s; the marts describe {as_of}")
    print(f"  accounts       {accounts:,}, of them active {active:,}; users {users:,}")
    for kind, told in flags:
        print(f"  {'risks' if kind == 'risk' else 'opportunities':<14} {told}")
    print(f"  raw events     {', '.join(quality)}")
    print(f"  the marts      {settings.published_db}")
    print('  ask them       accountpulse query "select * from account_health"')


DEMO_QUESTIONS = {
    "Accounts at risk: what happened, and what to do": """
        select account_name, mrr / 100 as mrr, flags.title, flags.sentence
        from account_flags as flags
        inner join accounts using (account_id)
        where flags.kind = 'risk'
        qualify row_number() over (partition by flags.flag_key order by mrr desc nulls last) <= 3
        order by mrr desc nulls last, account_name limit 8
    """,
    "Opportunities": """
        select account_name, plan, flags.title, flags.sentence
        from account_flags as flags
        inner join accounts using (account_id)
        where flags.kind = 'opportunity'
        order by account_name limit 5
    """,
    "Champions: people to ask for a reference": """
        select user_name, account_name, flags.sentence
        from user_flags as flags
        inner join users using (user_id)
        inner join accounts using (account_id)
        where flags.flag_key = 'champion'
        order by user_name limit 5
    """,
    "Much use, little value: the biggest account that misses the new features": """
        select
            account_name, user_count, round(engagement_score, 1) as engagement_score,
            round(readiness_rate, 2) as readiness_rate, missing_steps
        from account_flags as flags
        inner join accounts using (account_id, as_of_date)
        where flags.flag_key = 'high_engagement_low_activation'
        order by user_count desc limit 1
    """,
    "How far the steps of the product got": """
        select step_name, level, eligible_count, completed_count, adoption_rate
        from step_adoption
        where account_status = 'paid' and date = (select max(date) from step_adoption)
        order by level, adoption_rate desc
    """,
}


def print_demo(settings: Settings) -> None:
    """Prints what an analyst looks at first."""
    connection = open_published(settings.published_db)
    console = _console()
    try:
        for title, sql in DEMO_QUESTIONS.items():
            cursor = connection.execute(sql)
            columns = [column[0] for column in cursor.description or []]
            console.print()
            console.print(_table(columns, cursor.fetchall(), title))
    finally:
        connection.close()
    print(f"\nThe marts are in {settings.published_db}")
