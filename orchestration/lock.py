"""The writer lock: one process at a time may write a warehouse.

The kernel holds it (`flock` on `<warehouse>/.writer.lock`) and frees it when the process dies,
however it dies. What the file says (who, since when) only serves the message for whoever comes
second.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestration.errors import RunError

_held: set[Path] = set()
"""Locks of this process: a run that its own process already guards does not wait for itself."""


class LockedError(RunError):
    """Another process writes the warehouse."""


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text())
        return f"process {told['pid']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


@contextmanager
def writer_lock(
    path: Path, *, wait_seconds: float = 0, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Holds the writer lock of a warehouse; inside a process that holds it already, does nothing.

    Args:
        path: the lock file; its folder is made if need be.
        wait_seconds: how long to wait for another writer; 0 = not at all.
        on_wait: told once, in a sentence, when there is something to wait for.

    Raises:
        LockedError: another process holds the lock, and did so until the wait was over.
    """
    path = path.resolve()
    if path in _held:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        deadline = time.monotonic() + wait_seconds
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                message = f"{path.parent} is being written by {_holder(path)}"
                if time.monotonic() >= deadline:
                    raise LockedError(f"{message}; try again when it is done") from None
                if not told and on_wait:
                    on_wait(f"{message}; waiting for it")
                    told = True
                time.sleep(1)
        file.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(json.dumps({"pid": os.getpid(), "since": since}))
        file.flush()
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            file.truncate(0)
