"""The writer lock: one process at a time may write a warehouse; the others queue up behind it.

The kernel holds it (`flock` on `<warehouse>/.writer.lock`), hands it on in the order of arrival,
and frees it when the process dies, however it dies. What the file says (who, since when) only
serves the message for whoever has to wait.
"""

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_held: set[Path] = set()
"""Locks of this process: a run that its own process already guards does not wait for itself."""


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text())
        return f"process {told['pid']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _queue_up(handle: int) -> None:
    """Waits in the kernel's queue, not by trying again and again: first come, first served.

    In a thread, because Ctrl-C that comes just before the call would not wake it. Who is stopped
    closes the file, and with it leaves the queue.
    """
    failed: list[OSError] = []

    def wait() -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            failed.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    while waiting.is_alive():
        waiting.join(1)
    if failed:
        raise failed[0]


@contextmanager
def writer_lock(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the writer lock of a warehouse; inside a process that holds it already, does nothing.

    Waits for other writers as long as it takes: what was known of the warehouse before may no
    longer be so.

    Args:
        path: the lock file; its folder is made if need be.
        on_wait: told once, in a sentence, when there is something to wait for.
    """
    path = path.resolve()
    if path in _held:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait(f"{path.parent} is being written by {_holder(path)}; waiting for it")
            _queue_up(file.fileno())
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
