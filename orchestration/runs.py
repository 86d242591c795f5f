"""The record of runs: `ops.runs`, one row per run, written before it is published."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

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
    "restated_from_date": (
        "date",
        (
            "The earliest day, on or before the previous run's as-of date, that changed: asked for"
            " by from_date, or reached by rows that came in since."
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
        from_date: first day of the range that it was asked to restate.
    """

    run_id: str
    dial_fingerprint: str
    code_fingerprint: str
    timezone: str
    as_of: date
    from_date: date | None = None


def known(work: duckdb.DuckDBPyConnection) -> list[str]:
    """Ids of all earlier runs of this warehouse."""
    _prepare(work)
    return [run_id for (run_id,) in work.execute("select run_id from ops.runs").fetchall()]


def record(work: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Writes the run's row, from what it knows and what the staged rows say."""
    _prepare(work)
    work.execute(
        """
        insert into ops.runs
        with previous as (
            select load_count, as_of_date from ops.runs order by run_id desc limit 1
        ),
        staged as (
            select load_id, received_at, event_at as happened_at from staging.stg_tracks
            union all
            select load_id, received_at, row_at from staging.stg_identifies
            union all
            select load_id, received_at, row_at from staging.stg_groups
        ),
        told as (
            select
                max(staged.load_id) as load_count,
                max(staged.received_at) as freshest_received_at,
                min(timezone($timezone, timezone('UTC', staged.happened_at))) filter (
                    staged.load_id > previous.load_count
                )::date as reached_date,
                any_value(previous.as_of_date) as previous_date
            from staged
            left join previous on true
        )
        select
            $run_id, $dial_fingerprint, $code_fingerprint, $timezone,
            load_count, freshest_received_at, $as_of, $from_date,
            case
                when least(reached_date, $from_date) <= previous_date
                    then least(reached_date, $from_date)
            end
        from told
        """,
        vars(run),
    )


def published_already(work: duckdb.DuckDBPyConnection, published: Path, wanted: Run) -> bool:
    """Whether a run that has nothing new to load would only repeat what is published.

    Proved, or not claimed: the newest run was published, had the same as-of date, dials, code and
    time zone, knew the last load, and every row of the raw tables came by a load.

    Args:
        work: the work file; may be read-only.
        published: folder of the versions.
        wanted: what the run would be; its id does not matter.
    """
    current = (published / "current").resolve().name
    same = """
        select
            run_id = $current
            and dial_fingerprint = $dial_fingerprint
            and code_fingerprint = $code_fingerprint
            and reporting_timezone = $timezone
            and as_of_date = $as_of
            and load_count = (select max(load_id) from ops.landed_files where row_count > 0)
        from ops.runs
        order by run_id desc
        limit 1
    """
    loaded = "select coalesce(sum(row_count), 0) from ops.landed_files where table_name = $table"
    told = {
        name: value for name, value in vars(wanted).items() if name not in {"run_id", "from_date"}
    }
    try:
        proofs = work.execute(same, told | {"current": current}).fetchall()
        for table in RAW_TABLES:
            proofs += work.execute(
                f"select count(*) = ({loaded}) from raw.{table}", {"table": table}
            ).fetchall()
    except duckdb.CatalogException:
        return False
    return len(proofs) == 1 + len(RAW_TABLES) and all(proof for (proof,) in proofs)


def _prepare(work: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    work.execute("create schema if not exists ops")
    work.execute(f"create table if not exists ops.runs ({columns})")
    work.execute(
        "comment on table ops.runs is"
        " 'One row per published run: what it was made from and what it restated.'"
    )
    for name, (_, text) in COLUMNS.items():
        quoted = text.replace("'", "''")
        work.execute(f"comment on column ops.runs.{name} is '{quoted}'")
