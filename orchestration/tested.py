"""The mark beside the work file: which marts stand in it built and tested, and what they lack."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

LAST = "dbt_after_signals"
"""The step that joins what all others made."""


@dataclass(frozen=True)
class Built:
    """What the mark says.

    Args:
        as_of: the day that the marts describe.
        dials: fingerprint of the dials that made them.
        load: number of the last load of raw files that they know.
        missing: steps that have not gone on from the models yet.
        run: the version that they were published as, or that was about to be when somebody died.
    """

    as_of: str
    dials: str
    load: int
    missing: tuple[str, ...] = ()
    run: str = ""

    def __str__(self) -> str:
        """The day, and what is missing."""
        return f"{self.as_of} without {', '.join(self.missing)}" if self.missing else self.as_of


def read(mark: Path) -> Built | None:
    """What the mark says; None where there is none, or none that can be read."""
    try:
        told = json.loads(mark.read_text())
        return Built(**told | {"missing": tuple(told["missing"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def begin(mark: Path, built: Built, steps: Iterable[str]) -> None:
    """Notes that the models of a day are built and tested, and what is to follow."""
    _write(mark, replace(built, missing=tuple(sorted({*steps, LAST}))))


def redo(mark: Path, as_of: date, step: str) -> None:
    """Notes, before it is made anew, that a step is missing; a mark of another day goes."""
    built = read(mark)
    if built and built.as_of == str(as_of):
        _write(mark, replace(built, missing=tuple(sorted({*built.missing, step, LAST}))))
    else:
        mark.unlink(missing_ok=True)


def done(mark: Path, as_of: date, step: str) -> None:
    """Notes that a step is built and tested; the last one, if all others are."""
    built = read(mark)
    if built and built.as_of == str(as_of) and (step != LAST or built.missing == (LAST,)):
        _write(mark, replace(built, missing=tuple(s for s in built.missing if s != step)))


def publishing(mark: Path, run: str) -> None:
    """Notes, before it is done, that what stands there is published as a version."""
    built = read(mark)
    if built:
        _write(mark, replace(built, run=run))


def _write(mark: Path, built: Built) -> None:
    beside = mark.with_name(f"{mark.name}.new")
    beside.write_text(json.dumps(asdict(built)) + "\n")
    beside.replace(mark)
