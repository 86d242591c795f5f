"""How the dials differ from those of the last published run, and which days that would rewrite.

What belongs here: the comparison row by row, the refusal to rewrite history by accident, and the
record in `ops.dial_changes`. What does not: whether a dial is right (`dials`), and rebuilding.

Of dated dials only what was in force on days that are published counts: a row that is closed on the
newest of them, or begins after it, rewrites nothing. Score models and tracked events have no dates:
new ones may come at any time, and history gets what they match; changed or deleted ones would
rewrite all of it. Flag rules and exclusions are judged as of today for all days, and labels name
numbers without changing any: their changes are recorded, never refused.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from orchestration import suppression
from orchestration.dials import FILES, DialRow, Dials
from orchestration.errors import InputError, RunError
from orchestration.runs import prepare_table, published_run

if TYPE_CHECKING:
    import duckdb

    from orchestration.project import Settings

KEYS: dict[str, tuple[str, ...]] = {
    "tracked_events": ("event_key",),
    "score_models": ("score_model",),
    "engagement_weights": ("score_model", "event_key"),
    "activation_steps": ("step_key",),
    "flag_rules": ("flag_key",),
    "exclusions": ("entity", "column", "pattern"),
}
"""What the rows of each dial file are about; of dated dials there are several rows for one key."""

LABELS = frozenset(("step_name", "feature", "is_flagship"))
"""Columns that stand beside numbers in daily marts and change none."""

UNSEEN = frozenset(("valid_from", "valid_to", "description", "reason"))
"""Columns that say nothing about a day on which their row is in force."""
JUDGED_AS_OF_TODAY = frozenset(("flag_rules", "exclusions"))
FREE_TO_ADD = frozenset(("tracked_events", "score_models"))
TIMEZONE = "reporting_timezone"

ONE_DAY = timedelta(days=1)

WITHOUT_NAMES = """
    select * replace (
        if(file_name = 'exclusions', split_part(dial_key, ' ', 1), dial_key) as dial_key,
        if(file_name = 'exclusions', null, row_before) as row_before,
        if(file_name = 'exclusions', null, row_after) as row_after
    )
    from ops.dial_changes
"""
"""What is recorded, but for whom exclusions named: some of them may have been erased."""

TEXT = (
    "One row per dial row that a run found changed since the published run before it. Once somebody"
    " was erased, exclusions are told without rows and by their entity alone."
)

COLUMNS = {
    "run_id": ("varchar not null", "The run that took the change over, as in ops.runs."),
    "file_name": (
        "varchar not null",
        "The dial file, without .csv; reporting_timezone for a change of the time zone.",
    ),
    "dial_key": (
        "varchar not null",
        "What the row is about: its event, model, step, flag or exclusion.",
    ),
    "change": ("varchar not null", "added, edited or deleted."),
    "row_before": ("varchar", "The row as it was, as CSV; null where it is new."),
    "row_after": ("varchar", "The row as it is, as CSV; null where it was deleted."),
    "line_number": (
        "integer",
        "Line of the row in its file; of a deleted row the one on which it stood.",
    ),
    "is_restatement": (
        "boolean not null",
        "Whether it scores published days anew; a run does so with --restate-dials only.",
    ),
    "restated_from_date": (
        "date",
        "First published day that the change may alter; null where it alters none.",
    ),
    "as_of_date": ("date not null", "The last full day that the run's marts describe."),
}


@dataclass(frozen=True)
class Change:
    """One dial row that is not what it was in the last published run.

    Args:
        file: the dial file without `.csv`, or `reporting_timezone`.
        key: what the row is about.
        kind: what happened to it.
        before: the row as it was, as CSV.
        after: the row as it is, as CSV.
        line: of the row in its file; of a deleted one the line on which it stood.
        is_restatement: days that were published would be scored anew.
        first: the first published day that it may alter, if there is one.
        instead: the rows that would change the same from the next day on, as dial rows.
    """

    file: str
    key: str
    kind: Literal["added", "edited", "deleted"]
    before: str | None
    after: str | None
    line: int | None
    is_restatement: bool
    first: date | None
    instead: tuple[DialRow, ...] = ()


@dataclass(frozen=True)
class Published:
    """What the last complete run was made with, and the days that readers have seen.

    Args:
        dials: its dials; their folder is the published file.
        timezone: its reporting time zone.
        oldest: first day of any account; the newest day where there is none.
        newest: newest as-of date of any run so far.
    """

    dials: Dials
    timezone: str
    oldest: date
    newest: date


def published(settings: "Settings") -> Published | None:
    """Reads what is published; None before the first run, and where the file cannot be read.

    Args:
        settings: of the warehouse.
    """
    import duckdb  # noqa: PLC0415 - a light command does not pay for it

    run = published_run(settings.published)
    if not settings.published_db.exists():
        return None
    try:
        return _published(settings.published_db.resolve(), run)
    except (duckdb.Error, ValidationError):
        return None  # the next run publishes a whole one, by the rules of today


def _published(path: Path, run: str) -> Published:
    import duckdb  # noqa: PLC0415 - a light command does not pay for it

    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        rows = {file: tuple(_read(connection, file)) for file in FILES}
        ((timezone, oldest, newest),) = connection.execute(
            """
            select
                (select reporting_timezone from ops.runs where run_id = ?),
                (select min(first_seen_date) from marts.accounts),
                (select max(as_of_date) from ops.runs)
            """,
            [run],
        ).fetchall()
    dials = Dials(seeds=path, **rows)  # type: ignore[arg-type]  # each file has its own row type
    return Published(dials, timezone, oldest or newest, newest)


def _read(connection: "duckdb.DuckDBPyConnection", file: str) -> Iterator[DialRow]:
    """The rows of a published dial in file order; lines are counted from below the header."""
    cursor = connection.execute(f"select columns(*)::varchar from reference.{file} order by rowid")
    names = [column[0] for column in cursor.description or []]
    for line, values in enumerate(cursor.fetchall(), start=2):
        cells = dict(zip(names, values, strict=True))
        given = {
            name: cells[name] for name in FILES[file].model_fields if cells.get(name) is not None
        }
        yield FILES[file].model_validate(given | {"line": line})


def judged(settings: "Settings", dials: Dials, *, restate: bool) -> list[Change]:
    """What has changed since the last published run, if the run may take it over.

    Args:
        settings: of the warehouse.
        dials: of the run to come, checked.
        restate: the run was asked to score anew what the changes alter.

    Raises:
        InputError: published days would be rewritten and nobody asked for it; says which, by
            which change, and the ways out.
    """
    last = published(settings)
    if last is None:
        if not restate and _differ_from_published(settings, dials):
            raise InputError(
                f"{settings.published_db}: cannot be read, so nobody knows which dials or time"
                " zone became other; put them back as they were, or score all days anew by them:"
                " --restate-dials"
            )
        return []
    found = changes(last.dials, dials, last.newest, last.oldest)
    if settings.timezone != last.timezone:
        found.append(
            Change(
                *(TIMEZONE, TIMEZONE, "edited", last.timezone, settings.timezone, None),
                is_restatement=True,
                first=last.oldest,
            )
        )
    refused = [change for change in found if change.is_restatement]
    if refused and not restate:
        raise InputError(list(_told(refused, dials.seeds, last.newest)))
    return found


def _differ_from_published(settings: "Settings", dials: Dials) -> bool:
    """Whether dials or time zone are not those of the published run, as its record says."""
    import duckdb  # noqa: PLC0415 - a light command does not pay for it

    try:
        with closing(settings.read()) as connection:
            told = connection.execute(
                "select dial_fingerprint, reporting_timezone from ops.runs where run_id = ?",
                [published_run(settings.published)],
            ).fetchall()
    except (duckdb.CatalogException, RunError):
        return False  # nothing was published, or another run is at work: it asks again
    return any(row != (dials.fingerprint, settings.timezone) for row in told)


def can_go_on(changes: Sequence[Change], dials: Dials) -> bool:
    """Whether a run with these changes may go on from the tables of the run before.

    The models find out for themselves what follows from exclusions, from further names of tracked
    events, and from steps; flags are judged anew on all days anyhow. Weights may change after the
    newest published day only. After any other change everything is to be built anew.

    Args:
        changes: from `judged`.
        dials: the new ones.
    """
    features = defaultdict(set)
    for row in dials.tracked_events:
        features[row.event_key].add(row.feature)
    return all(
        change.file in JUDGED_AS_OF_TODAY
        or (change.file in {"engagement_weights", "activation_steps"} and not change.is_restatement)
        or (
            change.file == "tracked_events"
            and change.kind == "added"
            and all(len(of_key) == 1 for of_key in features.values())
        )
        for change in changes
    )


def changes(before: Dials, after: Dials, newest: date, oldest: date = date.min) -> list[Change]:
    """Compares dials row by row. The order of rows and formatting are no changes.

    Args:
        before: dials of the last published run.
        after: dials of the run to come.
        newest: newest published day.
        oldest: first published day.

    Returns:
        The changed rows, by file and in its order, those that were deleted last.
    """
    found = []
    models = [{row.score_model for row in dials.score_models} for dials in (before, after)]
    for file in FILES:
        old, new = _by_key(before, file), _by_key(after, file)
        of_file = []
        for key in {**new, **old}:
            gone, come = old.get(key, []), new.get(key, [])
            days = _DifferentDays(gone, come, oldest, newest)
            # The weights of a new model come with it, and those of a deleted one go with it.
            follows = file == "engagement_weights" and any(key[0] not in told for told in models)
            of_file += [
                _change(
                    file, key, pair, days, newest, free=follows or _is_addition(file, pair, come)
                )
                for pair in _pairs(gone, come)
            ]
        found += sorted(of_file, key=lambda change: (change.kind == "deleted", change.line or 0))
    return found


def _by_key(dials: Dials, file: str) -> dict[tuple[str, ...], list[DialRow]]:
    rows = defaultdict(list)
    for row in getattr(dials, file):
        rows[tuple(getattr(row, column) for column in KEYS[file])].append(row)
    return rows


def _says(row: DialRow, without: frozenset[str] = frozenset()) -> str:
    """What a row says, but for some columns, as text that is the same for the same row."""
    return row.model_dump_json(exclude=set(without))


def _span(row: DialRow) -> tuple[date, date]:
    """First and last day on which a row is in force."""
    begin, end = getattr(row, "valid_from", None), getattr(row, "valid_to", None)
    return begin or date.min, end or date.max


class _DifferentDays:
    """On which published days one key's rows in force are others, and on which its numbers."""

    def __init__(
        self, old: Sequence[DialRow], new: Sequence[DialRow], oldest: date, newest: date
    ) -> None:
        spans = [_span(row) for row in (*old, *new)]
        begun = {begin for begin, _ in spans if oldest < begin <= newest}
        ended = {end + ONE_DAY for _, end in spans if oldest <= end < newest}
        starts = sorted({oldest, *begun, *ended}) if oldest <= newest else []
        ends = [*(day - ONE_DAY for day in starts[1:]), newest]
        self.stretches = [
            (begin, end, _in_force(old, begin, LABELS) != _in_force(new, begin, LABELS))
            for begin, end in zip(starts, ends, strict=False)
            if _in_force(old, begin) != _in_force(new, begin)
        ]

    def first(self, rows: Sequence[DialRow], *, of_numbers: bool) -> date | None:
        """The first such day on which one of the rows is in force."""
        days = [
            max(begin, _span(row)[0])
            for begin, end, is_number in self.stretches
            for row in rows
            if _span(row)[0] <= end and begin <= _span(row)[1] and (is_number or not of_numbers)
        ]
        return min(days, default=None)


def _in_force(
    rows: Sequence[DialRow], day: date, without: frozenset[str] = frozenset()
) -> set[str]:
    return {_says(row, without | UNSEEN) for row in rows if _span(row)[0] <= day <= _span(row)[1]}


Pair = tuple[DialRow | None, DialRow | None]


def _pairs(old: Sequence[DialRow], new: Sequence[DialRow]) -> Iterator[Pair]:
    """What each changed row of one key became: the likest first; rows that stayed are left out."""

    def same_days(one: DialRow, two: DialRow) -> bool:
        return _span(one)[0] == _span(two)[0]

    def same_numbers(one: DialRow, two: DialRow) -> bool:
        return _says(one, LABELS | UNSEEN) == _says(two, LABELS | UNSEEN)

    likeness: tuple[Callable[[DialRow, DialRow], bool], ...] = (
        lambda one, two: _says(one) == _says(two),
        lambda one, two: same_days(one, two) and same_numbers(one, two),
        same_days,
        same_numbers,
        lambda _one, _two: True,
    )
    gone, come = list(old), list(new)
    for are_alike in likeness:
        for row in tuple(come):
            match = next((other for other in gone if are_alike(other, row)), None)
            if match is not None:
                gone.remove(match)
                come.remove(row)
                if _says(match) != _says(row):
                    yield match, row
    yield from ((None, row) for row in come)
    yield from ((row, None) for row in gone)


def _is_addition(file: str, pair: Pair, come: Sequence[DialRow]) -> bool:
    """Whether an undated row is new, or says what one still says that stands there."""
    if file not in FREE_TO_ADD or pair[0] is None:
        return file in FREE_TO_ADD
    hidden = LABELS | UNSEEN
    return _says(pair[0], hidden) in {_says(row, hidden) for row in come}


def _change(
    file: str,
    key: tuple[str, ...],
    pair: Pair,
    days: _DifferentDays,
    newest: date,
    *,
    free: bool,
) -> Change:
    before, after = pair
    rows = [row for row in pair if row is not None]
    kind: Literal["added", "edited", "deleted"] = (
        "added" if before is None else "deleted" if after is None else "edited"
    )
    is_restatement = (
        not free
        and file not in JUDGED_AS_OF_TODAY
        and days.first(rows, of_numbers=True) is not None
    )
    is_dated = "valid_from" in FILES[file].model_fields
    return Change(
        file=file,
        key=" ".join(key),
        kind=kind,
        before=None if before is None else as_csv(before),
        after=None if after is None else as_csv(after),
        line=(after or rows[0]).line,
        is_restatement=is_restatement,
        first=None if file == "flag_rules" else days.first(rows, of_numbers=False),
        instead=tuple(_instead(before, after, newest)) if is_restatement and is_dated else (),
    )


def _instead(before: DialRow | None, after: DialRow | None, newest: date) -> Iterator[DialRow]:
    """The rows that bring a change about from the day after the newest published one on."""
    goes_on = after is not None and _span(after)[1] > newest
    open_row = before if before and _span(before)[1] >= newest else None
    if open_row and after and goes_on and _says(open_row, UNSEEN) == _says(after, UNSEEN):
        yield open_row.model_copy(update={"valid_to": getattr(after, "valid_to")})  # noqa: B009
        return
    if before and _span(before)[0] <= newest:
        open_end = _span(before)[1] > newest
        yield before.model_copy(update={"valid_to": newest}) if open_end else before
    if after and goes_on:
        begin = max(_span(after)[0], newest + ONE_DAY)
        yield after.model_copy(update={"valid_from": begin})


def _cells(row: DialRow) -> dict[str, str]:
    """A row as a person writes it: 3 and not 3.0000, nothing where there is nothing."""
    return {name: _text(value) for name, value in row.model_dump().items()}


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Decimal():
            return f"{value.normalize():f}"
        case Mapping():
            return json.dumps(value)
    return str(value)


def as_csv(row: DialRow, columns: Sequence[str] | None = None) -> str:
    """A dial row as a line of its file, in the order of the columns; without them in its own."""
    cells = _cells(row)
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells.get(name, "") for name in columns or cells)
    return text.getvalue()


def _told(refused: Sequence[Change], seeds: Path, newest: date) -> Iterator[str]:
    """The refusal, in lines: every change with its place and days, then the ways out."""
    for change in refused:
        days = f"{change.first} to {newest}"
        if change.file == TIMEZONE:
            zones = f"{change.after} instead of {change.before}"
            yield f"reporting time zone {zones} would rewrite {days}"
            continue
        path = seeds / f"{change.file}.csv"
        yield f"{path}:{change.line}: {change.key} was {change.kind}, which would rewrite {days}"
        yield from (f"    was  {row}" for row in (change.before,) if row is not None)
        yield from (f"    is   {row}" for row in (change.after,) if row is not None)
        if change.instead:
            yield f"    to change it from {newest + ONE_DAY} on, write"
            columns = _header(path)
            yield from (f"         {as_csv(row, columns)}" for row in change.instead)
    first = min(change.first for change in refused if change.first)
    yield (
        f"nothing was changed; leave these days as they were scored, or score them anew: "
        f"accountpulse run --restate-dials rebuilds from {first} and records it in "
        f"ops.dial_changes (in Dagster: the run's tag accountpulse/restate_dials, value true)"
    )


def _header(path: Path) -> list[str]:
    """The columns of a dial file in its own order."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return next(cells for cells in csv.reader(file) if cells)


def record(
    work: "duckdb.DuckDBPyConnection", run_id: str, as_of: date, found: Sequence[Change]
) -> None:
    """Writes the changes that a run takes over to `ops.dial_changes`.

    Args:
        work: the work file.
        run_id: of the run.
        as_of: the last day that its marts describe.
        found: from `judged`.
    """
    prepare_table(work, "dial_changes", COLUMNS, TEXT)
    is_secret = suppression.read_salt(work) is not None
    rows: list[list[Any]] = []
    for change in found:
        said = change.key, change.kind, change.before, change.after
        if is_secret and change.file == "exclusions":
            said = change.key.partition(" ")[0], change.kind, None, None
        rows.append(
            [run_id, change.file, *said, change.line, change.is_restatement, change.first, as_of]
        )
    if rows:
        marks = ", ".join("?" * len(COLUMNS))
        work.executemany(
            f"insert into ops.dial_changes ({', '.join(COLUMNS)}) values ({marks})", rows
        )
