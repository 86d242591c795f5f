"""Where everything is: settings, every path, the dbt project and its manifest.

Nothing here opens the warehouse, and nothing heavy is imported before it is needed.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from orchestration.errors import InputError, RunError

if TYPE_CHECKING:
    import duckdb

CHECKOUT = Path(__file__).resolve().parent.parent
DBT_PROJECT = CHECKOUT / "dbt_project"
FIRST_DAY = date(2000, 1, 1)
"""What happened before it has a bad timestamp."""

SIZE = re.compile(r"[1-9][0-9]*(\.[0-9]+)? ?([KMGT]i?B|%)", re.IGNORECASE)
DAMAGED = re.compile("not a valid D|corrupt|not read enough bytes|checksum", re.IGNORECASE)
"""What DuckDB says of a file that is not as it was written."""
RESTORED = "partial_parse.msgpack"
"""The file from which dbt restores its own manifest without parsing."""

CONTAINER_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux says how much memory a container may take, if it has a limit."""


def memory_bytes() -> int:
    """Memory of the machine, or of the container where that has less."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CONTAINER_MEMORY:
        with suppress(OSError, ValueError):  # not there, or "max"
            sizes.append(int(path.read_text()))
    return min(sizes)


MEMORY_MB = min(6_000, memory_bytes() * 6 // 10_000_000)
"""Memory for DuckDB: six tenths of all, and no more than what it gains by."""


@dataclass(frozen=True)
class Settings:
    """What one warehouse is made from, and the paths in it; all paths absolute.

    Args:
        raw: landing folder; it need not be there where the raw tables come by other means.
        warehouse: folder of the work file and of everything published.
        seeds: folder of the dials.
        timezone: IANA name of the reporting time zone, in which days are cut.
        memory_limit: how much memory DuckDB may take before it spills to disk, such as 3GB.
    """

    raw: Path
    warehouse: Path
    seeds: Path
    timezone: str
    memory_limit: str = f"{MEMORY_MB}MB"

    @classmethod
    def resolve(
        cls,
        raw: str | Path | None = None,
        warehouse: str | Path | None = None,
        seeds: str | Path | None = None,
        memory_limit: str | None = None,
        *,
        is_reader: bool = False,
    ) -> "Settings":
        """Settings from flags, then the environment, then the defaults inside the checkout.

        Args:
            raw: see above, as the others.
            warehouse: see above.
            seeds: see above.
            memory_limit: see above.
            is_reader: who asks reads neither raw files nor dials, so they need not be there.

        Raises:
            InputError: a folder that was asked for is not there, the time zone is unknown, or the
                memory is no size.
        """
        asked = raw or os.environ.get("ACCOUNTPULSE_RAW")
        landing = Path(asked or CHECKOUT / "data" / "raw").absolute()
        seeds = Path(seeds or os.environ.get("ACCOUNTPULSE_SEEDS") or CHECKOUT / "seeds")
        warehouse = Path(
            warehouse or os.environ.get("ACCOUNTPULSE_WAREHOUSE") or CHECKOUT / "data" / "warehouse"
        )
        problems = []
        if asked and not is_reader and not landing.is_dir():
            problems.append(f"{asked}: no such folder of raw data")
        if not is_reader and not seeds.is_dir():
            problems.append(f"{seeds}: no such folder of dials")
        if warehouse.exists() and not warehouse.is_dir():
            problems.append(f"{warehouse}: is a file, not the folder of a warehouse")
        name = os.environ.get("ACCOUNTPULSE_REPORTING_TIMEZONE") or str(
            dbt_project_file()["vars"]["reporting_timezone"]
        )
        if not _is_timezone(name):
            problems.append(f"reporting time zone '{name}' is not known")
        memory = memory_limit or os.environ.get("ACCOUNTPULSE_MEMORY_LIMIT") or cls.memory_limit
        if not SIZE.fullmatch(memory):
            problems.append(f"memory limit '{memory}' is not a size such as 3GB or 800MB")
        if problems:
            raise InputError(problems)
        return cls(
            raw=landing,
            warehouse=warehouse.absolute(),
            seeds=seeds.absolute(),
            timezone=name,
            memory_limit=memory,
        )

    @property
    def work_db(self) -> Path:
        """The writer's DuckDB file."""
        return self.warehouse / "work.duckdb"

    @property
    def lock_file(self) -> Path:
        """File of the writer lock."""
        return self.warehouse / ".writer.lock"

    @property
    def tested_mark(self) -> Path:
        """Names the day whose marts stand in the work file built and tested; else not there."""
        return self.warehouse / ".tested"

    @property
    def published(self) -> Path:
        """Folder of the published runs."""
        return self.warehouse / "published"

    @property
    def published_db(self) -> Path:
        """The DuckDB file that readers open."""
        return self.published / "current" / "accountpulse.duckdb"

    @property
    def dbt_target(self) -> Path:
        """What dbt compiles and remembers, per warehouse."""
        return self.warehouse / ".dbt"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: `DAGSTER_HOME`, or a folder of the warehouse."""
        return Path(os.environ.get("DAGSTER_HOME") or self.warehouse / ".dagster").absolute()

    @cached_property
    def environment(self) -> dict[str, str]:
        """The settings as environment variables: what dbt's files and child processes read."""
        told = {
            "ACCOUNTPULSE_WAREHOUSE": str(self.warehouse),
            "ACCOUNTPULSE_SEEDS": str(self.seeds),
            "ACCOUNTPULSE_WORK_DB": str(self.work_db),
            "ACCOUNTPULSE_REPORTING_TIMEZONE": self.timezone,
            "ACCOUNTPULSE_MEMORY_LIMIT": self.memory_limit,
        }
        return told | ({"ACCOUNTPULSE_RAW": str(self.raw)} if self.raw.is_dir() else {})

    def today(self) -> date:
        """The current day in the reporting time zone."""
        return datetime.now(ZoneInfo(self.timezone)).date()

    def yesterday(self) -> date:
        """The last full day in the reporting time zone."""
        return self.today() - timedelta(days=1)

    def connect(self) -> "duckdb.DuckDBPyConnection":
        """Opens the work file for writing, configured as dbt's own connections are.

        Within one process DuckDB shares a file among connections only if all ask for the same
        configuration: hence one place for it, and `profiles.yml`.

        Raises:
            RunError: it is damaged.
            duckdb.IOException: it cannot be opened, most likely because another program has it
                open; it may soon be closed.
        """
        import duckdb  # noqa: PLC0415 - a light command does not pay for it

        self.warehouse.mkdir(parents=True, exist_ok=True)
        config = {"memory_limit": self.memory_limit, "temp_directory": f"{self.work_db}.tmp"}
        try:
            connection = self._opened(self.work_db, config=config)
        except duckdb.IOException as error:
            why = str(error).splitlines()[0]
            raise duckdb.IOException(
                f"{self.work_db} cannot be written: close what else has it open ({why})"
            ) from error
        connection.execute("set TimeZone = 'UTC'")
        return connection

    def read(self) -> "duckdb.DuckDBPyConnection":
        """Opens the work file for reading, or an empty database where there is none yet.

        Raises:
            RunError: it is damaged, or cannot be opened; most likely somebody writes it.
        """
        import duckdb  # noqa: PLC0415 - a light command does not pay for it

        is_there = self.work_db.exists()
        try:
            connection = self._opened(self.work_db if is_there else ":memory:", read_only=is_there)
        except duckdb.IOException as error:
            raise RunError(
                f"{self.work_db} cannot be opened: a run writes it; try again when it is done"
                f" ({str(error).splitlines()[0]})"
            ) from error
        connection.execute("set TimeZone = 'UTC'")
        return connection

    def _opened(self, path: Path | str, **how: Any) -> "duckdb.DuckDBPyConnection":  # noqa: ANN401 - DuckDB's options
        import duckdb  # noqa: PLC0415 - a light command does not pay for it

        try:
            return duckdb.connect(str(path), **how)
        except duckdb.Error as error:
            if not DAMAGED.search(str(error)):
                raise
            raise RunError(damaged(path, error)) from error


def damaged(path: Path | str, said: object) -> str:
    """What to tell of a work file of which DuckDB says that it is not as it was written."""
    told = next(line for line in str(said).splitlines() if DAMAGED.search(line))
    return (
        f"{path} is damaged: move it away, and the next run builds everything anew ({told.strip()})"
    )


def _is_timezone(name: str) -> bool:
    """Whether both Python and the database know a time zone by this name."""
    import duckdb  # noqa: PLC0415 - a light command does not pay for it

    if name == "UTC":
        return True
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    with closing(duckdb.connect()) as connection:
        asked = "select count(*) from pg_timezone_names() where name = ?"
        ((known,),) = connection.execute(asked, [name]).fetchall()
    return bool(known)


def dbt_project_file() -> dict[str, Any]:
    """The content of `dbt_project.yml`."""
    content: dict[str, Any] = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())
    return content


def dbt_arguments(settings: Settings, **variables: str | None) -> list[str]:
    """What every dbt invocation of a warehouse has in common.

    Args:
        settings: the warehouse.
        variables: further dbt vars; those that are None are left to `dbt_project.yml`.
    """
    told = {"reporting_timezone": settings.timezone} | {k: v for k, v in variables.items() if v}
    return [
        *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
        *("--target-path", str(settings.dbt_target), "--log-path", str(settings.dbt_target)),
        *("--vars", json.dumps(told)),
        *("--log-level", "none", "--log-level-file", "none", "--no-use-colors"),
    ]


def parsed_project(settings: Settings) -> Path:
    """Folder of the parsed dbt project; parsed only if something changed.

    It has dbt's manifest as JSON, the one that dbt itself restores (`RESTORED`), and what Dagster
    is told of it (`dbt_specs`).

    Kept under a key of the project's files and the versions of dbt, beside the project for all
    warehouses, or in the warehouse's dbt folder where the checkout may not be written. It knows
    neither warehouse nor dials: where the dial files are, dbt is told when it runs.

    Raises:
        RunError: the project does not parse; the message is dbt's.
    """
    name = f"manifest-{_manifest_key()}"
    homes = (DBT_PROJECT / "target", settings.dbt_target)
    for home in homes:
        if (home / name).is_dir():
            return home / name
    for home in homes[:-1]:
        with suppress(OSError):
            return _parse(settings, home / name)
    return _parse(settings, homes[-1] / name)


def code_fingerprint() -> str:
    """SHA-256 (hex) of what turns raw rows into marts: models, signals, versions of the engines."""
    key = hashlib.sha256()
    for package in ("duckdb", "numpy", "polars", "scikit-learn", "scipy"):
        key.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    _add_files(key, DBT_PROJECT, {".sql", ".yml"})
    _add_files(key, CHECKOUT / "orchestration", {".py"})
    return key.hexdigest()


def _manifest_key() -> str:
    key = hashlib.sha256()
    for package in ("dagster", "dagster-dbt", "dbt-core", "dbt-adapters", "dbt-duckdb", "duckdb"):
        key.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    key.update(f"{DBT_PROJECT}\n".encode())
    key.update(Path(__file__).with_name("dbt_specs.py").read_bytes())
    _add_files(key, DBT_PROJECT, {".sql", ".yml", ".md", ".csv"})
    return key.hexdigest()[:16]


def _add_files(key: "hashlib._Hash", folder: Path, suffixes: set[str]) -> None:
    """Adds names and contents of a folder's source files, without what tools leave there."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix in suffixes and name.parts[0] not in {"target", "logs"}:
            key.update(f"\n{name}\n".encode())
            key.update(path.read_bytes())


def _parse(settings: Settings, folder: Path) -> Path:
    """Parses the project into `folder`, which appears only when it is complete.

    That is done in a process of its own, so that what dbt loads and locks is gone with it. Who
    comes meanwhile waits.
    """
    import shutil  # noqa: PLC0415 - only on the first run after a change
    import subprocess  # noqa: PLC0415 - the same

    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_suffix(".fresh")
    with _locked(folder.parent):
        if folder.is_dir():
            return folder
        shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
        try:
            fresh.mkdir()
            target = str(settings.dbt_target)
            arguments = [str(fresh) if a == target else a for a in dbt_arguments(settings)]
            seeds = {"ACCOUNTPULSE_SEEDS": str(CHECKOUT / "seeds")}
            parsed = subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-m", "orchestration.dbt_specs", fresh, *arguments],
                cwd=CHECKOUT,
                env=os.environ | settings.environment | seeds,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if parsed.returncode:
                raise RunError(f"the dbt project does not parse: {parsed.stderr.strip()}")
            others = set(folder.parent.glob("manifest-*")) - {fresh}
            # a run may be at work with the last one
            for old in sorted(others, key=lambda other: other.stat().st_mtime_ns)[:-1]:
                shutil.rmtree(old, ignore_errors=True)
            return fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock, which the kernel frees when the process ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":  # for `make environment`: so that no first run waits for it
    parsed_project(Settings(CHECKOUT, DBT_PROJECT / "target", CHECKOUT / "seeds", "UTC"))
