"""What a person sees: progress of a run, its summary, the demo's first answers, a query's table."""

import csv
import json
import math
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from orchestration.errors import InputError, RunError
from orchestration.project import Settings
from orchestration.publish import SCHEMAS

if TYPE_CHECKING:
    from orchestration.erasure import Erasure
    from orchestration.execution import Listener
    from orchestration.execution import Progress as Happening

ROWS_SHOWN = 100
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys, but for tabs and line ends."""


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
    schemas = connection.execute(
        "select schema_name from information_schema.schemata where catalog_name = current_catalog()"
    ).fetchall()
    found = [name for name in SCHEMAS if (name,) in schemas]
    connection.execute(f"set search_path = '{','.join(found)}'")
    return connection


BACKTEST = """
    with

    tested as (

        select
            flag_key,
            horizon_days,
            verdict,
            checked_count,
            outcome_account_count,
            flagged_count,
            base_rate,
            precision,
            recall,
            lift,
            lift_low,
            lift_high,
            median_lead_days,
            never_flagged_share,
            null as auc,
            null as auc_low,
            null as auc_high,
            case kind when 'risk' then 1 else 2 end as place
        from flag_performance

        union all

        -- the tenth that a ranking puts first, as if it were a flag
        select
            'top tenth: ' || ranking,
            horizon_days,
            verdict,
            checked_count,
            outcome_account_count,
            cast(round(checked_count / 10) as bigint),
            base_rate,
            top_decile_precision,
            top_decile_recall,
            top_decile_lift,
            top_decile_lift_low,
            top_decile_lift_high,
            null,
            null,
            auc,
            auc_low,
            auc_high,
            3
        from risk_ranking_performance

    )

    select
        flag_key,
        horizon_days as days,
        verdict,
        checked_count as checks,
        outcome_account_count as "accounts with outcome",
        flagged_count as flagged,
        round(100 * base_rate, 1) as "base %",
        round(100 * precision, 1) as "right %",
        round(100 * recall, 1) as "found %",
        round(lift, 2) as lift,
        round(lift_low, 2) as low,
        round(lift_high, 2) as high,
        median_lead_days as lead,
        round(100 * never_flagged_share, 1) as "stayers flagged %",
        round(auc, 3) as auc,
        round(auc_low, 3) as "auc low",
        round(auc_high, 3) as "auc high"
    from tested
    order by place, flag_key, horizon_days
"""
"""How often each flag, and the tenth that each ranking puts first, was right, for a person."""

SHOWN_RANKING = "select any_value(reason) from risk_ranking_performance"


def print_backtest(path: Path, form: str) -> None:
    """Prints how good flags and rankings were.

    Args:
        path: the DuckDB file.
        form: `table`, `csv` or `json`.
    """
    print_query(path, BACKTEST, form, limit=None)
    if form == "table":
        with closing(open_published(path)) as connection:
            ((reason,),) = connection.execute(SHOWN_RANKING).fetchall()
        print(reason or "No account to rank.")


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
        if not duckdb.extract_statements(sql):
            raise InputError("query: there is nothing to ask in it")
        cursor = connection.execute(sql)
        columns = [column[0] for column in cursor.description or []]
        most = limit or (ROWS_SHOWN if form == "table" else None)
        rows = cursor.fetchmany(most + 1) if most else cursor.fetchall()
    except (duckdb.Error, OverflowError) as error:
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
        if len(set(columns)) < len(columns):
            raise InputError("query: two columns have one name, which JSON cannot tell apart")
        rows = [tuple(map(_finite, row)) for row in rows]
        lines = [json.dumps(dict(zip(columns, row, strict=True)), default=_plain) for row in rows]
        print("[" + ",\n ".join(lines) + "]")
    else:
        _console().print(_table(columns, rows))
        if more:
            print(f"the first {most} rows; more with --limit")


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None
) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    values = [[row[i] for row in rows if row[i] is not None] for i in range(len(columns))]
    numeric = [
        bool(column) and all(isinstance(value, int | float | Decimal) for value in column)
        for column in values
    ]
    for name, is_number in zip(columns, numeric, strict=True):
        table.add_column(
            Text(_visible(name)), justify="right" if is_number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text("" if value is None else _visible(str(value))) for value in row))
    return table


def _visible(text: str) -> str:
    """A value without what a terminal would obey."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _finite(value: object) -> object:
    """JSON has no number that is none, and no infinite one."""
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> float | str:
    """What JSON can say of a value that it does not know: decimals are numbers, dates are text."""
    return float(value) if isinstance(value, Decimal) else str(value)


class _Patient(Console):
    """A console that goes on without its reader: `accountpulse run | head` is a whole run."""

    def on_broken_pipe(self) -> None:
        """Nothing more is printed."""
        self.quiet = True


def _console() -> Console:
    console = _Patient(highlight=False)
    if not console.is_terminal:
        console = _Patient(highlight=False, width=200)
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
            if happening.description:
                bar.console.print(f"    {happening.description}")
        elif happening.kind == "retry":
            bar.console.print(f"  {happening.name}: once more")
        if happening.kind == "step":
            bar.update(task, description=happening.name)
        bar.update(task, refresh=False)

    with bar:
        yield listen


@contextmanager
def waiting() -> "Iterator[Callable[[str], None]]":
    """Gives what tells a wait: a line at once, and on a terminal a clock until the wait is over."""
    console = _console()
    clock = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

    def tell(message: str) -> None:
        print(message, flush=True)
        clock.add_task("waiting")
        clock.start()

    try:
        yield tell
    finally:
        clock.stop()


def _line(happening: "Happening") -> str:
    seconds = "" if happening.seconds is None else f"{happening.seconds:8.2f} s"
    return f"  {happening.name:<40}{happening.row_count:>14,} rows{seconds}"


def print_summary(settings: Settings, seconds: float) -> None:
    """Prints what a run brought: who is there, what is flagged, what the raw data was like."""
    with closing(open_published(settings.published_db)) as connection:
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
            select
                kind,
                string_agg(flag_key || ' ' || flag_count, ', ' order by flag_count desc, flag_key)
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
        kept_out = _kept_out(connection)
        cursor = connection.execute(
            """
            select * exclude (as_of_date) from ops.data_quality
            where as_of_date = (select as_of_date from ops.runs order by run_id desc limit 1)
            """
        )
        names = [column[0] for column in cursor.description or []]
        quality = [
            f"{name.removesuffix('_count').replace('_', ' ')} {count:,}"
            for row in cursor.fetchall()
            for name, count in zip(names, row, strict=True)
            if count
        ]
        restated = connection.execute(
            """
            with newest as (
                select run_id, is_full_build from ops.runs order by run_id desc limit 1
            )
            select
                case when any_value(newest.is_full_build) then 'everything was built anew; ' else ''
                end || case
                    when count(days.run_id) = 0 then 'no earlier day'
                    else format(
                        '{} days from {} on: {:,} rows, scores by at most {}',
                        count(*), min(restated_date),
                        sum(
                            event_usage_daily_count + user_engagement_daily_count
                            + account_engagement_daily_count + account_activation_daily_count
                        )::bigint,
                        round(max(score_change_max), 2)
                    )
                end
            from newest
            left join ops.restatements as days on newest.run_id = days.run_id
            """
        ).fetchall()[0][0]
    ((run_id, as_of, accounts, active, users),) = one
    print(f"\n{run_id}: the marts describe {as_of} ({seconds:.1f} s)")
    print(f"  accounts       {accounts:,}, of them active {active:,}; users {users:,}")
    for kind, told in flags:
        print(f"  {'risks' if kind == 'risk' else 'opportunities':<14} {told}")
    print(f"  raw events     {', '.join(quality)}")
    print(f"  restated       {restated}")
    if kept_out:
        print(f"  kept out       {kept_out:,} rows of erased people, in the files loaded so far")
    print(f"  the marts      {settings.published_db}")
    ask = f"{_command()} query --warehouse {shlex.quote(str(settings.warehouse))}"
    print(f'  ask them       {ask} "select * from account_health"')


def _kept_out(connection: duckdb.DuckDBPyConnection) -> int:
    """Rows of erased people that files brought; 0 where there is no record of files."""
    try:
        ((count,),) = connection.execute(
            "select sum(suppressed_count) from ops.landed_files"
        ).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        return 0
    return int(count or 0)


def print_erasure(
    settings: Settings, done: "Erasure", versions: Sequence[str], places: Sequence[str]
) -> None:
    """Prints what an erasure removed, and what is left to the owner of the raw data.

    Args:
        settings: the warehouse.
        done: what was removed.
        versions: names of the published versions that are gone.
        places: files, and lines of dials, that still hold or name the erased.
    """
    removed: list[tuple[str, object]] = [
        (f"rows of raw.{table}", count) for table, count in done.rows.items()
    ]
    removed.append(("people", done.people))
    removed.append(("published versions", len(versions)))
    _console().print(_table(("removed", "count"), removed))
    if not any(done.rows.values()):
        print("no row was left to remove; they stay on the suppression list")
    else:
        print(f"rebuilt: {settings.work_db}, and what is published with all its Parquet files")
    for table, count in done.mentions.items():
        if count:
            print(
                f"raw.{table}: {count:,} rows of others or of nobody name them in a text, and stay"
            )
    for place in places:
        print(f"{place}: still holds them; it is yours to delete or to rewrite without them")


def _command() -> str:
    """The command as the reader can type it again."""
    called = Path(sys.argv[0])
    found = shutil.which("accountpulse")
    on_path = found is not None and Path(found).samefile(called)
    return "accountpulse" if on_path or called.name != "accountpulse" else str(called)


DEMO_QUESTIONS = {
    "Accounts at risk, the dearest of each kind": """
        select
            account_name,
            mrr / 100 as mrr,
            flags.title as risk,
            flags.sentence as why
        from account_flags as flags
        inner join accounts using (account_id)
        where flags.kind = 'risk'
        qualify row_number() over (
            partition by flags.flag_key order by mrr desc nulls last, account_id
        ) <= 2
        order by flags.title, mrr desc nulls last, account_name
    """,
    "Opportunities, the best first": """
        select account_name, plan, flags.title as opportunity, flags.sentence as why
        from account_flags as flags
        inner join accounts using (account_id)
        where flags.kind = 'opportunity'
        order by
            case severity when 'high' then 1 when 'medium' then 2 else 3 end,
            mrr desc nulls last,
            account_name
        limit 5
    """,
    "Champions, of the biggest accounts": """
        select user_name, account_name, flags.sentence as why
        from user_flags as flags
        inner join users using (user_id)
        inner join accounts using (account_id)
        inner join user_engagement as engagement using (account_id, user_id)
        where flags.flag_key = 'champion' and engagement.is_default_model
        qualify row_number() over (
            partition by account_id order by engagement_points desc, user_id
        ) = 1
        order by accounts.user_count desc, account_name
        limit 5
    """,
    "Busy without the value: the biggest account that uses much, and not what is new": """
        select
            account_name,
            accounts.user_count,
            round(engagement.engagement_score, 1) as engagement_score,
            activation.activation_rate,
            list_aggregate(
                evidence ->> '$.missing_flagship_steps[*].step_name', 'string_agg', ', '
            ) as missing
        from account_flags as flags
        inner join accounts using (account_id)
        inner join account_activation as activation using (account_id)
        inner join account_engagement as engagement using (account_id)
        where flags.flag_key = 'high_engagement_low_activation' and engagement.is_default_model
        order by accounts.user_count desc, account_id
        limit 1
    """,
    "How far each step of the product got, among paying accounts": """
        select step_name, level, eligible_count, completed_count, adoption_rate, is_flagship
        from step_adoption
        where account_status = 'paid' and date = (select max(date) from step_adoption)
        order by level, adoption_rate desc
    """,
}


def print_demo(settings: Settings) -> None:
    """Prints what an analyst looks at first."""
    console = _console()
    with closing(open_published(settings.published_db)) as connection:
        for title, sql in DEMO_QUESTIONS.items():
            cursor = connection.execute(sql)
            columns = [column[0] for column in cursor.description or []]
            console.print()
            console.print(_table(columns, cursor.fetchall(), title))
    raw, warehouse = shlex.quote(str(settings.raw)), shlex.quote(str(settings.warehouse))
    ask = f"{_command()} query --warehouse {warehouse}"
    told = f"ACCOUNTPULSE_RAW={raw} ACCOUNTPULSE_WAREHOUSE={warehouse}"
    print(
        f"\nThe marts are in {settings.published_db}, and as Parquet beside it. Next:"
        f'\n  {ask} "select * from account_health limit 5"'
        f"\n  {ask} \"select table_name, comment from duckdb_tables() where schema_name = 'marts'\""
        f"\n  {told} make dev    # the asset graph, checks and runs in Dagster"
        "\nWhat counts is said in seeds/*.csv."
    )
