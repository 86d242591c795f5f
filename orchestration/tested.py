"""The mark beside the work file: the day whose marts stand in it, and what is made of them so far.

Its first line is the day; while something is missing, the steps that are done follow, one a line.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

UNFINISHED = " without what follows the models"


def begin(mark: Path, as_of: date) -> None:
    """Notes that the models of a day are built and tested."""
    mark.write_text(f"{as_of}{UNFINISHED}\n")


def go_on(mark: Path, as_of: date) -> None:
    """Withdraws a mark of another day, before marts of this one are written beside it."""
    if day(mark) not in {str(as_of), f"{as_of}{UNFINISHED}"}:
        mark.unlink(missing_ok=True)


def add(mark: Path, as_of: date, step: str) -> None:
    """Notes that a step has gone on from the models of that day."""
    if day(mark) == f"{as_of}{UNFINISHED}":
        with mark.open("a") as lines:
            lines.write(f"{step}\n")


def finish(mark: Path, as_of: date, steps: Iterable[str]) -> None:
    """Notes that all is built and tested, if these steps went before."""
    if mark.exists():
        told, *done = mark.read_text().splitlines()
        if told == f"{as_of}{UNFINISHED}" and set(steps) <= set(done):
            mark.write_text(str(as_of))


def day(mark: Path) -> str:
    """The day that is built and tested; what is missing is said with it."""
    return mark.read_text().splitlines()[0] if mark.exists() else "none"
