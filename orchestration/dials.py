"""The dials: what the product team decides, read from the six CSV files in `seeds/` and checked.

What belongs here: the shape of every dial row, and every rule that a dial can break, told with
file, line, column and the nearest valid value. What does not: what the dials mean for a number.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestration.errors import InputError
from orchestration.project import dbt_project_file
from orchestration.raw_files import wrong_separator

MAX_DAYS = 36_500
MAX_COUNT = 1_000_000_000
MAX_WEIGHT = 1_000_000  # keeps the points of any account inside decimal(18, 4)
MAX_THRESHOLD = 1e15
BEST_SCORE = 100
WEIGHT_STEP = Decimal("0.0001")


def _one_of(*valid: str) -> BeforeValidator:
    def check(text: str) -> str:
        if text not in valid:
            raise ValueError(f"'{text}' is not one of {', '.join(valid)}{_nearest(text, valid)}")
        return text

    return BeforeValidator(check)


def _whole_number(most: int) -> BeforeValidator:
    def check(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not 1 <= int(text) <= most:
            raise ValueError(f"'{text}' is not a whole number from 1 to {most}")
        return int(text)

    return BeforeValidator(check)


def _weight(text: str) -> Decimal:
    if not re.fullmatch(r"[+-]?([0-9]{1,12}\.?[0-9]{0,12}|\.[0-9]{1,12})", text):
        raise ValueError(f"'{text}' is not a number")
    value = Decimal(text)
    if not 0 < value < MAX_WEIGHT:
        raise ValueError(f"{text} is not above 0 and below {MAX_WEIGHT}")
    if value != value.quantize(WEIGHT_STEP):
        raise ValueError(f"{text} has more than 4 decimals")
    return value.quantize(WEIGHT_STEP)


def _day(text: str) -> date:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError(f"'{text}' is not a date as YYYY-MM-DD")


def _yes_or_no(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"'{text}' is neither true nor false")
    return text.lower() == "true"


def _thresholds(text: str) -> dict[str, float | int | bool]:
    try:
        pairs = json.loads(text, object_pairs_hook=tuple, parse_constant=lambda _: None)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    # An object comes as a tuple of pairs, so that a name given twice does not get lost.
    if not isinstance(pairs, tuple):
        raise ValueError(  # noqa: TRY004, pydantic collects ValueErrors
            'is not a JSON object such as {"min_silent_days": 14}'
        )
    names = [name for name, _ in pairs]
    for name, value in pairs:
        if not isinstance(value, (int, float)) or not abs(value) <= MAX_THRESHOLD:
            raise ValueError(f"'{name}' is neither a number nor true or false")
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is given twice")
    # 5.0 says the same as 5
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in pairs
    }


def _without_bar(text: str) -> str:
    if "|" in text:
        raise ValueError(f"'{text}' has a |, which separates the keys that an event counts for")
    return text


def _without_comma(text: str) -> str:
    if "," in text:
        raise ValueError(f"'{text}' has a comma, which separates the keys in missing_steps")
    return text


Level = Annotated[Literal["user", "account"], _one_of("user", "account")]
Status = Annotated[str, _one_of("paid", "trial", "canceled", "expired", "unknown")]
Days = Annotated[int, _whole_number(MAX_DAYS)]
Count = Annotated[int, _whole_number(MAX_COUNT)]
Weight = Annotated[Decimal, BeforeValidator(_weight)]
Day = Annotated[date, BeforeValidator(_day)]
YesNo = Annotated[bool, BeforeValidator(_yes_or_no)]


class DialRow(BaseModel):
    """One row of a dial file; an empty cell is None or the field's default.

    Attributes:
        line: Where the row begins in its file, the first line being 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int = Field(exclude=True)


class TrackedEvent(DialRow):
    """A raw event, by name and maybe a property, that counts as an event key."""

    event_key: Annotated[str, BeforeValidator(_without_bar)]
    event_name: str
    property_name: str | None = None
    property_value: str | None = None
    feature: str | None = None


class ScoreModel(DialRow):
    """A way to score engagement; the filters say who is scored."""

    score_model: str
    window_days: Days
    curve: Annotated[Literal["exponential", "winsorized"], _one_of("exponential", "winsorized")]
    account_status: Status | None = None
    account_plan: str | None = None
    description: str | None = None


class EngagementWeight(DialRow):
    """What one event of a key is worth in a score model, while the row is valid."""

    score_model: str
    event_key: str
    weight: Weight
    daily_cap: Count | None = None
    valid_from: Day | None = None
    valid_to: Day | None = None


class ActivationStep(DialRow):
    """One activation criterion, while the row is valid."""

    step_key: Annotated[str, BeforeValidator(_without_comma)]
    step_name: str
    level: Level
    event_key: str | None = None
    trait: str | None = None
    trait_value: str | None = None
    count_of: Annotated[Literal["events", "days", "users"], _one_of("events", "days", "users")] = (
        "events"
    )
    min_count: Count = 1
    within_days: Days | None = None
    expires_after_days: Days | None = None
    weight: Weight = Decimal("1.0000")
    feature: str | None = None
    is_flagship: YesNo = False
    account_status: Status | None = None
    account_plan: str | None = None
    valid_from: Day | None = None
    valid_to: Day | None = None


class FlagRule(DialRow):
    """Whether a flag is raised, with which thresholds, and what to do about it."""

    flag_key: str
    entity: Level
    kind: Annotated[Literal["risk", "opportunity"], _one_of("risk", "opportunity")]
    severity: Annotated[Literal["low", "medium", "high"], _one_of("low", "medium", "high")]
    is_enabled: YesNo = True
    parameters: Annotated[dict[str, float | int | bool], BeforeValidator(_thresholds)] = Field(
        default_factory=dict
    )
    title: str
    playbook: str = ""


class Exclusion(DialRow):
    """Users or accounts that are in no mart: own staff, tests, bots."""

    entity: Level
    column: str
    pattern: str
    reason: str | None = None


@dataclass(frozen=True)
class Dials:
    """Every dial, checked. Rows stand in file order.

    Attributes:
        seeds: The folder that the dials were read from, as given.
    """

    seeds: Path
    tracked_events: tuple[TrackedEvent, ...]
    score_models: tuple[ScoreModel, ...]
    engagement_weights: tuple[EngagementWeight, ...]
    activation_steps: tuple[ActivationStep, ...]
    flag_rules: tuple[FlagRule, ...]
    exclusions: tuple[Exclusion, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what the dials say.

        The order of columns, blank lines, quoting and the spelling of a number (5 or 5.0) do not
        change it; values and the order of rows do.
        """
        rows = {
            file: [row.model_dump(mode="json") for row in getattr(self, file)] for file in FILES
        }
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


FILES: dict[str, type[DialRow]] = {
    "tracked_events": TrackedEvent,
    "score_models": ScoreModel,
    "engagement_weights": EngagementWeight,
    "activation_steps": ActivationStep,
    "flag_rules": FlagRule,
    "exclusions": Exclusion,
}
"""The dial files, by name without `.csv`, and what a row of each is."""

NO_TRAITS = frozenset(("id", "user_id", "anonymous_id", "group_id", "timestamp", "received_at"))
"""Raw columns that identify a row or date it, and so are nobody's trait."""


def load_dials(seeds: Path) -> Dials:
    """Read and check the six dial files.

    Args:
        seeds: The folder that holds them.

    Returns:
        The dials, with every rule of the contract's section 3 kept that can be judged without raw
        data; `check_traits` judges the rest.

    Raises:
        InputError: Anything is wrong. It holds every problem, one line each, in file order.
    """
    if not seeds.is_dir():
        raise InputError(f"{seeds}: is not a folder; it should hold the dial files")
    files = {name: _read(seeds, name) for name in FILES}
    checks: tuple[Callable[[Mapping[str, _File]], None], ...] = (
        _check_references,
        _check_duplicates,
        _check_validity,
        _check_tracked_events,
        _check_score_models,
        _check_steps,
        _check_flag_rules,
    )
    for check in checks:
        check(files)
    _check_windows(files["score_models"], dbt_project_file()["vars"]["member_days"])
    problems = [line for file in files.values() for line in file.told()]
    if problems:
        raise InputError(problems)
    rows = {name: tuple(file.rows) for name, file in files.items()}
    return Dials(seeds=seeds, **rows)  # type: ignore[arg-type]  # each file has its own row type


def check_traits(
    dials: Dials, identifies_columns: Iterable[str], groups_columns: Iterable[str]
) -> list[str]:
    """Check the raw columns that steps and exclusions name, for callers that know the raw tables.

    Args:
        dials: Checked dials.
        identifies_columns: Columns of raw `identifies`, in any case.
        groups_columns: Columns of raw `groups`, in any case.

    Returns:
        One line for each trait that is not there (user level: identifies, account level: groups).
    """
    tables = {"user": "identifies", "account": "groups"}
    traits = {
        level: [
            name
            for name in dict.fromkeys(column.strip().lower() for column in columns)
            if name not in NO_TRAITS and not name.startswith("_")
        ]
        for level, columns in (("user", identifies_columns), ("account", groups_columns))
    }
    steps = _File(dials.seeds / "activation_steps.csv")
    for step in dials.activation_steps:
        if step.trait is not None and step.trait.lower() not in traits[step.level]:
            what = f"'{step.trait}' is not a trait in raw {tables[step.level]}"
            steps.report(step.line, "trait", what + _nearest(step.trait, traits[step.level]))
    exclusions = _File(dials.seeds / "exclusions.csv")
    for row in dials.exclusions:
        valid = [f"{row.entity}_id", *traits[row.entity]]
        if row.entity == "account" and row.column.lower() == "group_id":
            continue  # the raw name of account_id
        if row.column.lower() not in valid:
            what = f"'{row.column}' is neither {valid[0]} nor a trait in raw {tables[row.entity]}"
            exclusions.report(row.line, "column", what + _nearest(row.column, valid))
    return [*steps.told(), *exclusions.told()]


@dataclass
class _File:
    """A dial file as read: raw cells for rules across rows, typed rows, and what is wrong.

    `records` hold only cells with text; a row with a wrong cell still takes part in other checks.
    """

    path: Path
    columns: list[str] = field(default_factory=list)
    records: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    rows: list[DialRow] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def report(self, line: int, column: str | None, what: str) -> None:
        """Note a problem; line 0 is the file as a whole."""
        place = f"{self.path}:{line}" if line else str(self.path)
        text = f"{place}: {f'column {column}: ' if column else ''}{what}"
        self.problems.append((line, text.replace("\r", "\\r").replace("\n", "\\n")))

    def told(self) -> list[str]:
        """The problems by line, each once."""
        return list(dict.fromkeys(text for _, text in sorted(self.problems, key=lambda p: p[0])))

    def keyed(self, *columns: str) -> Iterator[tuple[int, tuple[str, ...], dict[str, str]]]:
        """Line, key and cells of the records whose key is complete."""
        for line, cells in self.records:
            if all(column in cells for column in columns):
                yield line, tuple(cells[column] for column in columns), cells


def _read(seeds: Path, name: str) -> _File:
    file = _File(seeds / f"{name}.csv")
    try:
        content = file.path.read_bytes()
    except FileNotFoundError:
        others = sorted(p.name for p in seeds.glob("*.csv") if p.stem not in FILES)
        file.report(0, None, "the file is missing" + _nearest(file.path.name, others))
        return file
    except OSError as error:
        file.report(0, None, f"cannot be read: {error.strerror}")
        return file
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        file.report(content.count(b"\n", 0, error.start) + 1, None, "is not UTF-8 text")
        return file
    try:
        for line, cells in _numbered(text):
            if file.columns:
                _take_row(file, FILES[name], line, cells)
            else:
                _take_header(file, FILES[name], line, cells)
    except _UnreadableRecordError as error:
        file.report(error.line, None, str(error))
    if not file.columns and not file.problems:
        file.report(1, None, f"is empty; expected the columns {', '.join(_columns(FILES[name]))}")
    return file


class _UnreadableRecordError(Exception):
    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def _numbered(text: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the line on which they begin; blank lines are skipped."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _UnreadableRecordError(line, f"is not CSV: {error}") from None
        if cells:
            yield line, cells


def _columns(row_type: type[DialRow]) -> list[str]:
    return [name for name in row_type.model_fields if name != "line"]


def _take_header(file: _File, row_type: type[DialRow], line: int, cells: list[str]) -> None:
    file.columns = cells
    if wrong := wrong_separator(cells):
        raise _UnreadableRecordError(line, wrong)
    valid = _columns(row_type)
    absent = [name for name in valid if name not in cells]
    for column in dict.fromkeys(cells):
        if column not in valid:
            what = f"'{column}' is not a column of this file"
            file.report(line, None, what + _nearest(column, absent or valid))
        elif cells.count(column) > 1:
            file.report(line, column, "is there twice")
    for column in absent:
        required = row_type.model_fields[column].is_required()
        file.report(line, column, "is missing" + ("" if required else "; its cells may be empty"))


def _take_row(file: _File, row_type: type[DialRow], line: int, cells: list[str]) -> None:
    if len(cells) != len(file.columns):
        file.report(line, None, f"has {len(cells)} cells, the header has {len(file.columns)}")
        return
    if not any(cells):
        file.report(line, None, "is a row without any value")
        return
    record = dict(_given(file, row_type, line, cells))
    file.records.append((line, record))
    try:
        file.rows.append(row_type.model_validate({**record, "line": line}))
    except ValidationError as error:
        for found in error.errors():
            column = str(found["loc"][0])
            if found["type"] != "missing":
                file.report(line, column, str(found["ctx"]["error"]))
            elif column in file.columns:
                file.report(line, column, "is empty")


def _given(
    file: _File, row_type: type[DialRow], line: int, cells: list[str]
) -> Iterator[tuple[str, str]]:
    """Column and text of the cells that hold something.

    dbt loads the same files and takes blanks for text and the word null for nothing: neither is
    let in, so that both readers see the same value.
    """
    for column, text in zip(file.columns, cells, strict=True):
        if column not in row_type.model_fields or not text:
            continue
        if text != text.strip():
            file.report(line, column, f"'{text}' has blanks around it")
        elif text.lower() == "null":
            file.report(line, column, f"'{text}' is not a value; leave the cell empty")
        if text.strip():
            yield column, text.strip()


def _check_references(files: Mapping[str, _File]) -> None:
    for source, column, target in (
        ("engagement_weights", "score_model", "score_models"),
        ("engagement_weights", "event_key", "tracked_events"),
        ("activation_steps", "event_key", "tracked_events"),
    ):
        if column not in files[target].columns:
            continue  # told already; every reference would be wrong
        keys = list(dict.fromkeys(key for _, (key,), _ in files[target].keyed(column)))
        for line, (key,), _ in files[source].keyed(column):
            if key not in keys:
                what = f"'{key}' is not a key in {target}.csv"
                files[source].report(line, column, what + _nearest(key, keys))


def _check_duplicates(files: Mapping[str, _File]) -> None:
    for name, column in (("score_models", "score_model"), ("flag_rules", "flag_key")):
        first: dict[str, int] = {}
        for line, (key,), _ in files[name].keyed(column):
            if first.setdefault(key, line) != line:
                what = f"'{key}' is there twice, first in line {first[key]}"
                files[name].report(line, column, what)
    for name, columns in (
        ("tracked_events", ("event_key", "event_name", "property_name", "property_value")),
        ("exclusions", ("entity", "column", "pattern")),
    ):
        if not set(columns) <= set(files[name].columns):
            continue  # told already; rows would seem alike
        seen: dict[tuple[str | None, ...], int] = {}
        for line, cells in files[name].records:
            row = tuple(cells.get(column) for column in columns)
            if seen.setdefault(row, line) != line:
                files[name].report(line, columns[0], f"the row repeats line {seen[row]}")


def _check_validity(files: Mapping[str, _File]) -> None:
    for name, columns in (
        ("engagement_weights", ("score_model", "event_key")),
        ("activation_steps", ("step_key",)),
    ):
        spans: dict[tuple[str, ...], list[tuple[int, date, date]]] = {}
        for line, key, cells in files[name].keyed(*columns):
            span = _span(cells)
            if span is None:
                continue
            begin, end = span
            if end < begin:
                files[name].report(line, "valid_to", f"{end} is before valid_from {begin}")
                continue
            others = spans.setdefault(key, [])
            for other_line, other_begin, other_end in others:
                if begin <= other_end and other_begin <= end:
                    what = f"the validity of {' '.join(key)} overlaps that in line {other_line}"
                    files[name].report(line, "valid_from", what)
            others.append((line, begin, end))


def _span(cells: Mapping[str, str]) -> tuple[date, date] | None:
    try:
        begin = _day(cells["valid_from"]) if "valid_from" in cells else date.min
        end = _day(cells["valid_to"]) if "valid_to" in cells else date.max
    except ValueError:
        return None
    return begin, end


def _check_tracked_events(files: Mapping[str, _File]) -> None:
    file = files["tracked_events"]
    features: dict[str, tuple[int, str]] = {}
    for line, cells in file.records:
        if "property_value" in cells and "property_name" not in cells:
            file.report(line, "property_value", "is given, but property_name is empty")
    for line, (key, feature), _ in file.keyed("event_key", "feature"):
        first_line, first = features.setdefault(key, (line, feature))
        if feature != first:
            what = f"'{feature}', but line {first_line} gives {key} the feature '{first}'"
            file.report(line, "feature", what)


def _check_score_models(files: Mapping[str, _File]) -> None:
    file = files["score_models"]
    models = [key for _, (key,), _ in file.keyed("score_model")]
    if "score_model" in file.columns and "default" not in models:
        file.report(1, "score_model", "no model is named 'default'" + _nearest("default", models))


def _check_windows(file: _File, member_days: int) -> None:
    for row in file.rows:
        if isinstance(row, ScoreModel) and row.window_days > member_days:
            what = f"{row.window_days} is more than the {member_days} days that make a member"
            file.report(row.line, "window_days", what)


def _check_steps(files: Mapping[str, _File]) -> None:
    file = files["activation_steps"]
    levels: dict[str, tuple[int, str]] = {}
    for line, cells in file.records:
        if "event_key" in cells and "trait" in cells:
            file.report(line, "trait", "is given beside event_key; a step has one of them")
        if "event_key" not in cells and "trait" not in cells:
            file.report(line, "event_key", "is empty, and so is trait; a step needs one of them")
        if "trait_value" in cells and "trait" not in cells:
            file.report(line, "trait_value", "is given, but trait is empty")
        if cells.get("count_of") == "users" and cells.get("level") == "user":
            what = "'users' is for steps at level account; nearest: 'days'"
            file.report(line, "count_of", what)
    for line, (key, level), _ in file.keyed("step_key", "level"):
        first_line, first = levels.setdefault(key, (line, level))
        if level != first:
            what = f"'{level}', but line {first_line} gives {key} the level '{first}'"
            file.report(line, "level", what)


def _check_flag_rules(files: Mapping[str, _File]) -> None:
    from orchestration.signals.flags import RULES  # noqa: PLC0415, polars only where it is needed

    file = files["flag_rules"]
    for line, (key,), cells in file.keyed("flag_key"):
        rule = RULES.get(key)
        if rule is None:
            file.report(line, "flag_key", f"'{key}' is not a flag" + _nearest(key, list(RULES)))
            continue
        for column, own, others in (
            ("entity", rule.entity, ("user", "account")),
            ("kind", rule.kind, ("risk", "opportunity")),
        ):
            if cells.get(column) != own and cells.get(column) in others:
                file.report(line, column, f"'{cells[column]}', but {key} is '{own}'")
        try:
            given = _thresholds(cells.get("parameters", "{}"))
        except ValueError:
            continue  # told already
        for name, value in given.items():
            if name not in rule.parameters:
                what = f"'{name}' is not a parameter of {key}"
                file.report(line, "parameters", what + _nearest(name, list(rule.parameters)))
            elif isinstance(value, bool) != isinstance(rule.parameters[name], bool):
                kind = "true or false" if isinstance(rule.parameters[name], bool) else "a number"
                file.report(line, "parameters", f"'{name}' must be {kind}")
            else:
                fault = _threshold_fault(name, value)
                if fault:
                    file.report(line, "parameters", f"'{name}' is {value}; {fault}")


def _threshold_fault(name: str, value: float) -> str | None:
    """What no flag could mean by a threshold."""
    if value < 0:
        return "no threshold is below 0"
    if name == "min_days" and value < 1:
        return "a flag takes at least 1 day"
    if name.endswith("_days") and not isinstance(value, int):
        return "days are whole"
    # there may be more members than seats
    if name.endswith(("_rate", "_share")) and name != "min_seat_share" and value > 1:
        return "a share is a part of 1: 0.8, not 80"
    if name.endswith("_score") and value > BEST_SCORE:
        return "a score is at most 100"
    return None


def _nearest(value: str, valid: Sequence[str]) -> str:
    """The end of a message: the valid value that shares most letter pairs (Dice coefficient)."""
    if not valid:
        return ""

    def likeness(candidate: str) -> float:
        mine, theirs = _letter_pairs(value), _letter_pairs(candidate)
        return 2 * len(mine & theirs) / (len(mine) + len(theirs))

    return f"; nearest: '{max(valid, key=likeness)}'"


@lru_cache(maxsize=10_000)
def _letter_pairs(text: str) -> frozenset[str]:
    framed = f"^{text.lower()}$"
    return frozenset(framed[i : i + 2] for i in range(len(framed) - 1))
