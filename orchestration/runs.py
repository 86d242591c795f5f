"""The record of runs: `ops.runs`, one row per run, written before it is published."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.errors import InputError
from orchestration.sql import literal

RAW_TABLES = ("tracks", "identifies", "groups")

COLUMNS = {
    "run_id": ("varchar not null", "The run; also the name of its published folder."),
    "dial_fingerprint": ("varchar not null", "SHA-256 of what the dials said."),
    "code_fingerprint": ("varchar not null", "SHA-256 of the models and signals that ran."),
    "reporting_timezone": ("varchar not null", "The time zone in which days were cut."),
    "load_count": ("bigint", "Number of the last load of raw files that the run knew."),
    "freshest_received_at": ("timestamp", "The latest received_at of a raw row, in UTC."),
    "as_of_date": ("date not null", "The last full day that the marts describe."),
    "from_date": ("date", "First day of the range that the run was asked to restate."),
    "is_full_build": (
        "boolean",
        "Whether everything was built anew, and not only what changed since the run before.",
    ),
    "restated_from_date": (
        "date",
        (
            "The earliest day, on or before the previous run's as-of date, whose rows in daily"
            " marts became other, as in `ops.restatements`, or from_date, if that is earlier."
        ),
    ),
}


@dataclass(frozen=True)
class Run:
    """What a run knows of itself before it writes its record.

    Args:
        run_id: from `publish.run_name`.
        dial_fingerprint: of the dials that it used.
        code_fingerprint: of the code that it ran.
        timezone: the reporting time zone.
        as_of: the day that the marts describe.
        load: number of the last load of raw files; None: there was none.
        from_date: first day of the range that it was asked to restate.
        restated_days: days on which daily marts may be other than before; None: everything was
            built anew.
        changed_from: first day, up to the as-of date of the run before, whose rows became other.
    """

    run_id: str
    dial_fingerprint: str
    code_fingerprint: str
    timezone: str
    as_of: date
    load: int | None = None
    from_date: date | None = None
    restated_days: tuple[date, ...] | None = None
    changed_from: date | None = None


def published_run(published: Path) -> str:
    """The run whose version readers see, which has its name; empty while nothing is published.

    Raises:
        InputError: a folder stands where the link to it should be.
    """
    link = published / "current"
    if link.exists() and not link.is_symlink():
        raise InputError(
            f"{link}: is no link to a version, as after a copy that follows links: remove it, and"
            " the next run publishes anew"
        )
    return link.readlink().name if link.is_symlink() else ""


def forget_unpublished(work: duckdb.DuckDBPyConnection, published: Path) -> None:
    """Takes back what was recorded of runs after the published one: their publication failed."""
    newest = published_run(published)
    if not newest:
        return
    for table in ("runs", "restatements", "dial_changes"):
        with suppress(duckdb.CatalogException):
            work.execute(f"delete from ops.{table} where run_id > ?", [newest])


def known(work: duckdb.DuckDBPyConnection) -> list[str]:
    """Ids of all earlier runs of this warehouse."""
    _prepare(work)
    return [run_id for (run_id,) in work.execute("select run_id from ops.runs").fetchall()]


def changed_days(work: duckdb.DuckDBPyConnection) -> dict[str, tuple[date, ...]] | None:
    """By daily mart the days whose rows may differ from the last run's; None: all of them may."""
    restated = restated_days(work)
    if restated is None:
        return None
    rescored = work.execute(
        "select distinct date_day from intermediate.int_restated_activation_days order by 1"
    ).fetchall()
    return {
        "account_activation_daily": tuple(day for (day,) in rescored),
        "account_engagement_daily": restated,
        "event_usage_daily": restated,
        "user_engagement_daily": restated,
    }


def restated_days(work: duckdb.DuckDBPyConnection) -> tuple[date, ...] | None:
    """Days whose scores may differ from the last run's; None: everything was built anew."""
    ((load,),) = work.execute("select load_id from intermediate.int_known_run").fetchall()
    if load is None:
        return None
    days = work.execute("select date_day from intermediate.int_restated_days order by 1").fetchall()
    return tuple(day for (day,) in days)


def before(work: duckdb.DuckDBPyConnection, run_id: str) -> str | None:
    """The run before a recorded one, if the same code made both, in the same time zone."""
    rows = work.execute(
        """
        with this as (
            select * from ops.runs where run_id = $run_id
        ),
        previous as (
            select * from ops.runs where run_id < $run_id order by run_id desc limit 1
        )
        select previous.run_id
        from previous
        inner join this
            on
                previous.code_fingerprint = this.code_fingerprint
                and previous.reporting_timezone = this.reporting_timezone
        """,
        {"run_id": run_id},
    ).fetchall()
    return rows[0][0] if rows else None


def record(work: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Writes the run's row, from what it knows and what the staged rows say.

    Of rows that came by a load, only those that the run before did not know are read.
    """
    _prepare(work)
    known = work.execute(
        "select load_count, freshest_received_at, as_of_date"
        " from ops.runs order by run_id desc limit 1"
    ).fetchall()
    known_load, freshest, previous_date = known[0] if known else (None, None, None)
    work.execute(
        """
        insert into ops.runs by name
        with staged as (
            select load_id, received_at from staging.stg_tracks
            union all
            select load_id, received_at from staging.stg_identifies
            union all
            select load_id, received_at from staging.stg_groups
        ),
        told as (
            select max(received_at) as freshest_received_at
            from staged
            where load_id is null or load_id > coalesce($known_load::bigint, -1)
        )
        select
            $run_id as run_id,
            $dial_fingerprint as dial_fingerprint,
            $code_fingerprint as code_fingerprint,
            $timezone as reporting_timezone,
            $load as load_count,
            greatest(freshest_received_at, $freshest) as freshest_received_at,
            $as_of as as_of_date,
            $from_date as from_date,
            $restated_days is null as is_full_build,
            case
                when least($changed_from, $from_date) <= $previous_date
                    then least($changed_from, $from_date)
            end as restated_from_date
        from told
        """,
        vars(run)
        | {"known_load": known_load, "freshest": freshest, "previous_date": previous_date},
    )


@dataclass(frozen=True)
class Known:
    """What the last complete run knew, from whose tables the next one can go on.

    Args:
        load: number of the last load of raw files.
        as_of: the day that its marts describe.
        dial_fingerprint: of its dials.
    """

    load: int
    as_of: date
    dial_fingerprint: str


def last_complete(
    work: duckdb.DuckDBPyConnection, published: Path, code_fingerprint: str, timezone: str
) -> Known | None:
    """The newest run, if it was published by the same code and time zone and knew all but new rows.

    Proved, or not claimed: every row of the raw tables came by a load, so that the number of its
    load tells whether the run knew it.

    Args:
        work: the work file; may be read-only.
        published: folder of the versions.
        code_fingerprint: of the code that is to run now.
        timezone: the reporting time zone now.
    """
    newest = """
        select load_count, as_of_date, dial_fingerprint
        from (select * from ops.runs order by run_id desc limit 1)
        where
            run_id = $current
            and code_fingerprint = $code_fingerprint
            and reporting_timezone = $timezone
            and load_count is not null
    """
    loaded = "select coalesce(sum(row_count), 0) from ops.landed_files where table_name = $table"
    told = {
        "current": published_run(published),
        "code_fingerprint": code_fingerprint,
        "timezone": timezone,
    }
    try:
        found = work.execute(newest, told).fetchall()
        for table in RAW_TABLES:
            proof = f"select count(*) = ({loaded}) from raw.{table}"
            found = found if work.execute(proof, {"table": table}).fetchall()[0][0] else []
    except duckdb.CatalogException:
        return None
    return Known(*found[0]) if found else None


def published_already(work: duckdb.DuckDBPyConnection, published: Path, wanted: Run) -> bool:
    """Whether a run that has nothing new to load would only repeat what is published.

    Args:
        work: the work file; may be read-only.
        published: folder of the versions.
        wanted: what the run would be; its id does not matter.
    """
    known = last_complete(work, published, wanted.code_fingerprint, wanted.timezone)
    if not known:
        return False
    ((is_news,),) = work.execute(
        "select count(*) > 0 from ops.landed_files where row_count > 0 and load_id > ?",
        [known.load],
    ).fetchall()
    same = Known(known.load, wanted.as_of, wanted.dial_fingerprint)
    return known == same and not is_news


def prepare_table(
    work: duckdb.DuckDBPyConnection, table: str, columns: dict[str, tuple[str, str]], text: str
) -> None:
    """Makes a table of schema ops that Python writes, where it is not there, with its comments.

    A table of an earlier version gets the columns that it lacks; they are null in its old rows.

    Args:
        work: the work file.
        table: its name.
        columns: type and comment of each column.
        text: the table's comment.
    """
    typed = ", ".join(f"{name} {kind}" for name, (kind, _) in columns.items())
    work.execute("create schema if not exists ops")
    work.execute(f"create table if not exists ops.{table} ({typed})")
    work.execute(f"comment on table ops.{table} is {literal(text)}")
    for name, (kind, comment) in columns.items():
        addable = kind.removesuffix(" not null")
        work.execute(f"alter table ops.{table} add column if not exists {name} {addable}")
        work.execute(f"comment on column ops.{table}.{name} is {literal(comment)}")


def _prepare(work: duckdb.DuckDBPyConnection) -> None:
    prepare_table(
        work,
        "runs",
        COLUMNS,
        "One row per published run: what it was made from and what it restated.",
    )
