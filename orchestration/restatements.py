"""The record of restatements: which days of daily marts became other than the last run's.

What belongs here: `ops.restatements`, and how a run that built everything anew finds those days by
comparing itself with the version before. What does not: which days a run works on again, which the
models know.
"""

from datetime import date
from pathlib import Path

import duckdb

from orchestration.runs import prepare_table
from orchestration.sql import identifier, literal

COLUMNS = {
    "run_id": ("varchar not null", "The run, as in `ops.runs`."),
    "event_usage_daily_count": ("bigint not null", "Number of changed rows of the mart."),
    "user_engagement_daily_count": ("bigint not null", "Number of changed rows of the mart."),
    "account_engagement_daily_count": ("bigint not null", "Number of changed rows of the mart."),
    "account_activation_daily_count": ("bigint not null", "Number of changed rows of the mart."),
    "score_change_max": (
        "decimal(18,6) not null",
        "Largest change of a score, 0-100, up or down; a row that came or went counts with 0.",
    ),
    "restated_date": ("date not null", "The day whose rows changed."),
}

IDENTITY = {
    "event_usage_daily": ("account_id", "user_id", "event_key", "date"),
    "user_engagement_daily": ("score_model", "account_id", "user_id", "date"),
    "account_engagement_daily": ("score_model", "account_id", "date"),
    "account_activation_daily": ("account_id", "date"),
}
"""What tells the rows of a daily mart apart."""

BEFORE = "version_before"


def record(
    work: duckdb.DuckDBPyConnection, run_id: str, version_before: Path | None
) -> tuple[int, date | None]:
    """Keeps what a run restated: a row of `ops.restatements` per day that is other than before.

    Args:
        work: the work file, with the run's marts.
        run_id: the run.
        version_before: the published file to compare with, if there is one, of a run that built
            everything anew; None: the models know what changed.

    Returns:
        The number of those days, and the first of them.

    Raises:
        duckdb.Error: the version before is damaged; nothing is kept of this run.
    """
    prepare_table(
        work,
        "restatements",
        COLUMNS,
        "One row per run and day, up to the as-of date of the run before, on which rows of daily"
        " marts became other than they were. Rates as restated are meant to change and are left"
        " out.",
    )
    if version_before and version_before.exists():
        _compare(work, run_id, version_before)
    elif not version_before:
        names = ", ".join(list(COLUMNS)[1:])
        work.execute(
            f"insert into ops.restatements by name"
            f" select ? as run_id, {names} from intermediate.int_restatements",
            [run_id],
        )
    ((count, first),) = work.execute(
        "select count(*), min(restated_date) from ops.restatements where run_id = ?", [run_id]
    ).fetchall()
    return count, first


def _compare(work: duckdb.DuckDBPyConnection, run_id: str, version_before: Path) -> None:
    work.execute(f"attach {literal(version_before)} as {BEFORE} (read_only)")
    try:
        changes = [_changes(work, mart) for mart in IDENTITY]
        counts = ", ".join(
            f"count(*) filter (mart = {literal(mart)}) as {mart}_count" for mart in IDENTITY
        )
        found = " union all ".join(filter(None, changes))
        if found:
            work.execute(
                f"insert into ops.restatements by name"
                f" select {literal(run_id)} as run_id, {counts},"
                f" coalesce(max(score_change), 0) as score_change_max, date as restated_date"
                f" from ({found}) group by date"
            )
    finally:
        work.execute(f"detach {BEFORE}")


def _columns(work: duckdb.DuckDBPyConnection, mart: str) -> list[str]:
    """Columns of a mart in both versions, without rates as restated; none: one has no such mart."""
    rows = work.execute(
        """
        select column_name
        from duckdb_columns()
        where
            database_name in (current_database(), $before)
            and schema_name = 'marts'
            and table_name = $mart
            and not ends_with(column_name, '_restated')
        group by column_name
        having count(*) = 2
        order by column_name
        """,
        {"before": BEFORE, "mart": mart},
    ).fetchall()
    return [name for (name,) in rows]


def _changes(work: duckdb.DuckDBPyConnection, mart: str) -> str | None:
    """SQL for the rows of a mart that are other than before: mart, date, score_change; None: none.

    Days are compared by a sum first, so that only those that differ are joined row by row.
    """
    names = _columns(work, mart)
    if not names:
        return None
    every = ", ".join(map(identifier, names))
    now, before = f"marts.{mart}", f"{BEFORE}.marts.{mart}"
    sums = f"select date, count(*) as rows, sum(hash({every})) as told from {{}} group by date"
    days = work.execute(
        f"""
        select date
        from ({sums.format(now)}) as now full join ({sums.format(before)}) as before using (date)
        where
            date <= (select max_by(as_of_date, run_id) from {BEFORE}.ops.runs)
            and (now.rows, now.told) is distinct from (before.rows, before.told)
        """
    ).fetchall()
    if not days:
        return None
    listed = ", ".join(f"date '{day}'" for (day,) in days)
    rows = f"(from {{}} where date in ({listed}))"
    differs = "".join(
        f" or now.{identifier(name)} is distinct from before.{identifier(name)}"
        for name in names
        if name not in IDENTITY[mart]
    )
    score = (
        "abs(coalesce(now.engagement_score, 0) - coalesce(before.engagement_score, 0))"
        if "engagement_score" in names
        else "null"
    )
    return (
        f"select {literal(mart)} as mart, date, {score} as score_change"
        f" from {rows.format(now)} as now full join {rows.format(before)} as before"
        f" using ({', '.join(IDENTITY[mart])})"
        f" where now.account_id is null or before.account_id is null{differs}"
    )
