"""The commands: they read flags, start what does the work, and show what comes of it.

Heavy imports stand inside the commands, so that `--help` and `check` answer at once.
"""
# ruff: noqa: PLC0415

import atexit
import gc
import os
import re
import shutil
import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.errors import InputError, RunError
from orchestration.lock import writer_lock
from orchestration.project import CHECKOUT, FIRST_DAY, Settings, code_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Folder(click.Path):
    """A folder; nothing at all, as of a shell variable that is not set, is none."""

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> "str | bytes | os.PathLike[str]":
        """The path, or a usage error."""
        if not str(value):
            self.fail("is empty", param, ctx)
        return super().convert(value, param, ctx)


FOLDER = Folder(path_type=Path)
RAW = click.option("--raw", type=FOLDER, metavar="DIR", help="Landing folder of raw files.")
WAREHOUSE = click.option("--warehouse", type=FOLDER, metavar="DIR", help="Folder of the warehouse.")

DEMO = CHECKOUT / "data" / "demo"
DEMO_MARK = ".accountpulse-demo"
SEED = 7


class Day(click.ParamType[date]):
    """A date in the form 2026-01-31."""

    name = "date"

    def convert(
        self, value: str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """The date, or a usage error."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"'{value}' is not a date like 2026-01-31", param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="accountpulse")
def cli() -> None:
    """Activation and weighted engagement per user and account, from raw product events."""


@cli.command()
@RAW
@WAREHOUSE
@click.option("--as-of", type=Day(), help="Last full day to describe; default: yesterday.")
@click.option("--from", "from_date", type=Day(), help="Restate the days from here on.")
@click.option("--full-refresh", is_flag=True, help="Build everything anew.")
@click.option("--restate-dials", is_flag=True, help="Score published days anew by changed dials.")
@click.option("--memory-limit", metavar="SIZE", help="Memory for the database, such as 3GB.")
def run(
    *,
    raw: Path | None,
    warehouse: Path | None,
    as_of: date | None,
    from_date: date | None,
    full_refresh: bool,
    restate_dials: bool,
    memory_limit: str | None,
) -> None:
    """Load what is new, bring the marts to the as-of date, test and publish them."""
    settings = Settings.resolve(raw=raw, warehouse=warehouse, memory_limit=memory_limit)
    _run(
        *(settings, as_of),
        from_date=from_date,
        full_refresh=full_refresh,
        restate_dials=restate_dials,
    )


@cli.command()
@RAW
@WAREHOUSE
@click.option("--user", metavar="ID", help="The user to erase.")
@click.option("--account", metavar="ID", help="The account to erase, with who is in no other.")
def erase(raw: Path | None, warehouse: Path | None, user: str | None, account: str | None) -> None:
    """Remove a user or an account from the warehouse for good, and keep them out."""
    from orchestration import erasure, execution, report
    from orchestration.dials import load_dials
    from orchestration.publish import newest_day, versions

    name = user or account or ""
    if (user is None) == (account is None) or not name.strip():
        raise click.UsageError("give either --user ID or --account ID")
    settings = Settings.resolve(raw=raw, warehouse=warehouse)
    load_dials(settings.seeds)
    erasure.check_there(settings)  # before a lock is left where nothing was
    with _writing(settings):
        before = set(versions(settings.published))
        done = erasure.erase(settings, "user" if user else "account", name)
        with _told_what_is_left(settings):
            execution.forget_failed_runs(settings)
            as_of = newest_day(settings.published)
            if as_of and not erasure.is_finished(settings):
                _publish_without(settings, as_of, done.first_date)
    gone = before - set(versions(settings.published))
    report.print_erasure(
        settings,
        done,
        sorted(path.name for path in gone),
        [
            *map(str, erasure.landing_files(settings, done)),
            *erasure.dial_lines(settings, {name, *done.names}),
        ],
    )


@cli.command()
@RAW
@WAREHOUSE
def check(raw: Path | None, warehouse: Path | None) -> None:
    """Check dials and raw layout; write nothing."""
    from orchestration import dial_changes
    from orchestration.dials import check_traits, load_dials
    from orchestration.landing import inspect

    settings = Settings.resolve(raw=raw, warehouse=warehouse)
    dials = load_dials(settings.seeds)
    changes: Sequence[dial_changes.Change] = ()
    refused: list[str] = []
    try:
        changes = dial_changes.judged(settings, dials, restate=False)
    except InputError as error:
        refused = error.problems
    changed = f"; {_many(len(changes), 'row')} changed since the last run" if changes else ""
    right = f"dials   {settings.seeds}: right{changed}"
    try:
        with closing(settings.read()) as connection:
            plan = inspect(settings.raw, connection)
    except InputError as error:
        if not refused:
            click.echo(right)
        raise InputError([*refused, *error.problems]) from None
    except RunError as error:
        if not refused:
            raise
        raise InputError([*refused, str(error)]) from None
    problems = check_traits(dials, plan.columns("identifies"), plan.columns("groups"))
    if problems or refused:
        raise InputError([*problems, *refused])
    click.echo(right)
    files = f"; {_many(len(plan.files), 'new file')}, {plan.known_count} known"
    click.echo(f"raw     {_source(settings)}: right{files if settings.raw.exists() else ''}")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@cli.command()
@click.argument("sql")
@WAREHOUSE
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows; table: 100.")
@click.option("--work", is_flag=True, help="Ask the work file instead, while nobody writes it.")
def query(sql: str, warehouse: Path | None, form: str, limit: int | None, work: bool) -> None:
    """Ask the published marts in SQL, read-only."""
    from orchestration import report

    settings = Settings.resolve(warehouse=warehouse, is_reader=True)
    if not work and not settings.published_db.exists():
        raise RunError(f"nothing is published in {settings.warehouse} yet: accountpulse run")
    with suppress(BrokenPipeError):  # whoever read it has seen enough
        report.print_query(settings.work_db if work else settings.published_db, sql, form, limit)


@cli.command()
@WAREHOUSE
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
)
def backtest(warehouse: Path | None, form: str) -> None:
    """Show how often flags and the risk ranking were right on the warehouse's own history."""
    from orchestration import report

    settings = Settings.resolve(warehouse=warehouse, is_reader=True)
    if not settings.published_db.exists():
        raise RunError(f"nothing is published in {settings.warehouse} yet: accountpulse run")
    with suppress(BrokenPipeError):
        report.print_backtest(settings.published_db, form)


@cli.command()
@click.option("--accounts", type=click.IntRange(min=1), required=True, help="Accounts to make.")
@click.option("--days", type=click.IntRange(min=7), required=True, help="Days of history.")
@click.option("--events", type=click.IntRange(min=1), help="About so many events.")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="Where the files go.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Same seed, same data.")
@click.option("--until", type=Day(), help="Last day of the data; default: yesterday.")
def simulate(
    *, accounts: int, days: int, events: int | None, out: Path, seed: int, until: date | None
) -> None:
    """Make raw data of a video-collaboration product with known truths."""
    until = until or Settings.resolve(is_reader=True).yesterday()
    _simulate(out, accounts=accounts, days=days, events=events, until=until, seed=seed)


@cli.command()
@click.option("--accounts", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--days", type=click.IntRange(min=7), default=180, show_default=True)
@click.option("--events", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--folder", type=FOLDER, default=DEMO, metavar="DIR", help="Where the demo lives.")
def demo(accounts: int, days: int, events: int, folder: Path) -> None:
    """Simulate a product's raw data up to yesterday, run everything on it, show the answers."""
    from orchestration import report
    from orchestration.simulate import check_numbers

    settings = Settings.resolve(
        folder / "raw", folder / "warehouse", CHECKOUT / "seeds", is_reader=True
    )
    until = settings.yesterday()
    check_numbers(
        {"accounts": accounts, "days": days, "events": events, "until": str(until), "seed": SEED}
    )
    mark = folder / DEMO_MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise InputError(f"{folder}: has other things in it; give the demo a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    with _writing(settings):
        try:
            _clear_demo(settings)
            _simulate(
                settings.raw, accounts=accounts, days=days, events=events, until=until, seed=SEED
            )
            _run(settings, until)
        except KeyboardInterrupt:
            raise RunError("stopped; there is no demo now: accountpulse demo") from None
        with suppress(BrokenPipeError):
            report.print_demo(settings)


def _source(settings: Settings) -> Path:
    """What raw rows are read from: the landing folder; without one, tables of the work file."""
    return settings.raw if settings.raw.exists() else settings.work_db


def _clear_demo(settings: Settings) -> None:
    """Makes room for a new demo; the lock that is held stays, and what Dagster's pages read."""
    shutil.rmtree(settings.raw, ignore_errors=True)
    for path in settings.warehouse.iterdir():
        if path in {settings.lock_file, settings.dagster_home}:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _simulate(
    out: Path, *, accounts: int, days: int, events: int | None, until: date, seed: int
) -> None:
    from orchestration.simulate import simulate as generate

    begun = time.monotonic()
    generate(
        out,
        accounts=accounts,
        days=days,
        events=events,
        until=until,
        seed=seed,
        progress=lambda told: click.echo(f"  {told}"),
    )
    click.echo(f"raw data of {accounts} accounts in {out} ({time.monotonic() - begun:.1f} s)")


def _run(
    settings: Settings,
    asked: date | None,
    *,
    from_date: date | None = None,
    full_refresh: bool = False,
    restate_dials: bool = False,
) -> None:
    from orchestration import dbt_process

    dbt_process.start(settings)  # first, so that it loads dbt beside all that follows
    from orchestration.dial_changes import judged
    from orchestration.dials import load_dials
    from orchestration.erasure import remove_unfinished
    from orchestration.publish import check_ascending

    begun = time.monotonic()
    as_of = _as_of(settings, asked)
    if from_date and from_date > as_of:
        raise InputError(f"--from {from_date} is after the as-of date {as_of}")
    if from_date and from_date < FIRST_DAY:
        raise InputError(f"--from {from_date}: there are no days before {FIRST_DAY}; give that one")
    # what is wrong is told before there is anything to wait for
    judged(settings, load_dials(settings.seeds), restate=restate_dials)
    with _writing(settings):
        as_of = _as_of(settings, asked)  # midnight may have passed
        remove_unfinished(settings)
        check_ascending(settings.published, as_of)
        dials = load_dials(settings.seeds)
        if not full_refresh and not from_date and _is_published(settings, as_of, dials.fingerprint):
            click.echo(f"nothing new: the marts describe {as_of} already (--full-refresh: anew)")
        else:
            click.echo(f"{_source(settings)} -> {settings.warehouse}, as of {as_of}")
            _execute(
                *(settings, as_of),
                from_date=from_date,
                full_refresh=full_refresh,
                restate_dials=restate_dials,
            )

    from orchestration import report

    with suppress(BrokenPipeError):  # it is published, whoever still reads
        report.print_summary(settings, time.monotonic() - begun)


@contextmanager
def _writing(settings: Settings) -> "Iterator[None]":
    """Holds the writer lock; says whom it waits for. What is asked inside is asked of today."""
    from orchestration import report

    with ExitStack() as held:
        with report.waiting() as told:
            held.enter_context(writer_lock(settings.lock_file, on_wait=told))
        yield


def _execute(
    settings: Settings,
    as_of: date,
    *,
    from_date: date | None = None,
    full_refresh: bool = False,
    restate_dials: bool = False,
) -> None:
    from orchestration import report
    from orchestration.execution import execute

    with report.progress() as listener:
        execute(
            *(settings, as_of),
            from_date=from_date,
            full_refresh=full_refresh,
            restate_dials=restate_dials,
            listener=listener,
        )


def _publish_without(settings: Settings, as_of: date, first_date: date | None) -> None:
    """Builds everything anew from what an erasure left, and publishes it."""
    from orchestration import dbt_process

    click.echo(f"{settings.warehouse}: everything anew, as of {as_of}")
    from_date = min(first_date, as_of) if first_date else None
    dbt_process.start(settings)
    _execute(settings, as_of, from_date=from_date, full_refresh=True)


@contextmanager
def _told_what_is_left(settings: Settings) -> "Iterator[None]":
    """What goes wrong once somebody is erased from the work file is told with what is still to do.

    Raises:
        RunError: in place of whatever it was.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        is_plain = isinstance(error, InputError | RunError | KeyboardInterrupt)
        told = str(error) if is_plain else _of_files(error)
        if told is None and isinstance(error, OSError):
            told = _of_path(error)
        if told is None:
            raise
        raise RunError(
            f"{told or 'stopped'}\nerased from {settings.work_db.name}; the versions"
            " published before go as soon as a run succeeds: put right what is told above, then"
            " the same command or accountpulse run"
        ) from error


def _is_published(settings: Settings, as_of: date, dial_fingerprint: str) -> bool:
    """Whether a run would only repeat the published version."""
    from orchestration import erasure, landing, report, runs

    if not (settings.work_db.exists() and settings.published_db.exists()):
        return False
    wanted = runs.Run(
        run_id="",
        dial_fingerprint=dial_fingerprint,
        code_fingerprint=code_fingerprint(),
        timezone=settings.timezone,
        as_of=as_of,
    )
    try:
        report.open_published(settings.published_db).close()
    except RunError:
        return False  # it is made anew
    with closing(settings.read()) as connection:
        plan = landing.inspect(settings.raw, connection, is_read_through=False)
        return (
            runs.published_already(connection, settings.published, wanted)
            and not (plan.files or plan.rewritten)
            and erasure.is_clean(connection, settings.published)
        )


def _as_of(settings: Settings, asked: date | None) -> date:
    """The as-of date: yesterday, or a day that is over.

    Raises:
        InputError: the day is not over yet.
    """
    yesterday = settings.yesterday()
    if asked and asked < FIRST_DAY:
        raise InputError(
            f"--as-of {asked}: times before {FIRST_DAY} are bad timestamps; give a later day"
        )
    if asked and asked > yesterday:
        raise InputError(
            f"--as-of {asked}: this day is not over in {settings.timezone};"
            f" the last full day is {yesterday}"
        )
    return asked or yesterday


def main() -> None:
    """Entry point of the console script: an exit code and plain sentences, never a traceback.

    What is imported stays to the end, so nobody looks through it for garbage (a run does, from when
    it begins to work), and at the end nobody takes it apart: half a million objects, which would
    cost a daily run three seconds.
    """
    code = 1

    def leave() -> None:
        with suppress(OSError, AttributeError):  # one may be closed
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)

    gc.disable()
    atexit.register(leave)  # the first one to be registered is the last one to be called
    code = _exit_code(_answer)
    sys.exit(code)


def _answer() -> None:
    """Does what the arguments say.

    Raises:
        InputError: one of them has bytes that are no text.
    """
    for argument in sys.argv[1:]:
        told = os.fsencode(argument).decode(errors="replace")
        if told != argument:
            raise InputError(f"{told}: is not UTF-8, as names and ids are to be")
    cli.main(prog_name="accountpulse", standalone_mode=False)


def _exit_code(command: "Callable[[], object]") -> int:
    """Runs a command; says on standard error what was wrong."""
    lines: list[str] = []
    code = 0
    try:
        command()
    except InputError as error:
        lines, code = error.problems, 2
    except click.exceptions.NoArgsIsHelpError as error:
        lines, code = [error.format_message()], 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "accountpulse"
        lines, code = [f"{where}: {error.format_message()}"], 2
    except RunError as error:
        lines, code = str(error).splitlines(), 1
    except (click.Abort, KeyboardInterrupt):
        lines, code = ["stopped; what is published is as it was"], 1
    except OSError as error:
        lines, code = [_of_path(error)], 2 if isinstance(error, NotADirectoryError) else 1
    except Exception as error:
        told = _of_files(error)
        if not told:
            raise
        lines, code = [told], 1
    for line in lines:
        click.echo(line, err=True)
    return code


def _of_path(error: OSError) -> str:
    return f"{error.filename or 'input/output'}: {error.strerror or error}"


def _of_files(error: BaseException | None) -> str | None:
    """What to say of files that are behind an error, if some are: anything else is a defect."""
    import sqlite3

    while error:
        said = str(error).partition("\n")[0]
        if re.search(r"disk I/O|(disk|database) .*full|No space left|readonly|Read-only", said):
            return f"files could not be written or read: {said}; is the disk full?"
        if isinstance(error, sqlite3.DatabaseError) and re.search("not a data|malformed", said):
            return (
                "Dagster's records are damaged; no mart depends on them: delete the folder .dagster"
                f" of the warehouse, or what DAGSTER_HOME names ({said})"
            )
        error = error.__cause__ or error.__context__
    return None


if __name__ == "__main__":
    main()
