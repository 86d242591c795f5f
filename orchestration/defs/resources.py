"""What assets are given when they run: the warehouse, locked for one writer, and what the run asks.

No asset stands here, and nothing that could run without Dagster.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import duckdb

from orchestration.errors import InputError, RunError
from orchestration.lock import writer_lock
from orchestration.project import Settings
from orchestration.publish import check_ascending

if TYPE_CHECKING:
    from collections.abc import Mapping

FROM_DATE_TAG = "accountpulse/from_date"
FULL_REFRESH_TAG = "accountpulse/full_refresh"
RESTATE_DIALS_TAG = "accountpulse/restate_dials"
WAREHOUSE_TAG = "accountpulse/warehouse"
INPUT = "wrong_input"
"""Metadata of a failure that what was given is to blame for."""

OWNERS = ["team:product-analytics"]

NOT_WORTH_A_RETRY = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOENT}


class Warehouse(dg.ConfigurableResource["Warehouse"]):
    """The warehouse folder and what fills it; a run that uses it holds the writer lock throughout.

    Args:
        raw: landing folder.
        warehouse: folder of the work file and of everything published.
        seeds: folder of the dials.
        timezone: reporting time zone.
        memory_limit: how much memory DuckDB may take.
    """

    raw: str
    warehouse: str
    seeds: str
    timezone: str
    memory_limit: str

    @classmethod
    def of(cls, settings: Settings) -> "Warehouse":
        """The resource that stands for these settings."""
        return cls(
            raw=str(settings.raw),
            warehouse=str(settings.warehouse),
            seeds=str(settings.seeds),
            timezone=settings.timezone,
            memory_limit=settings.memory_limit,
        )

    @property
    def settings(self) -> Settings:
        """The same as plain settings."""
        return Settings(
            raw=Path(self.raw),
            warehouse=Path(self.warehouse),
            seeds=Path(self.seeds),
            timezone=self.timezone,
            memory_limit=self.memory_limit,
        )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Warehouse"]:
        """Takes the writer lock for the length of the run; waits for another writer."""
        say = context.log.warning if context.log else None
        if context.instance and context.run and WAREHOUSE_TAG not in context.run.tags:
            own = {WAREHOUSE_TAG: str(self.settings.warehouse.resolve())}
            context.instance.add_run_tags(context.run.run_id, own)
        with writer_lock(self.settings.lock_file, on_wait=say):
            yield self

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Opens the work file for writing; the caller closes it before the asset ends."""
        return self.settings.connect()


@dataclass(frozen=True)
class Request:
    """What a run was asked to bring about.

    Args:
        as_of: the day that the marts are to describe.
        from_date: first day of the range to restate, if one was asked for.
        full_refresh: everything is to be built anew.
        restate_dials: published days may be scored anew where changed dials say so.
    """

    as_of: date
    from_date: date | None
    full_refresh: bool
    restate_dials: bool

    @classmethod
    def of(
        cls, context: dg.AssetExecutionContext, settings: Settings, default: date | None = None
    ) -> "Request":
        """Reads the run's partition (of a range the newest) and tags; else a default: yesterday.

        Unpartitioned assets have no partition of their own: they read the run's.

        Raises:
            InputError: the warehouse describes a later day already.
        """
        tags: Mapping[str, str] = context.run.tags
        newest = tags.get("dagster/asset_partition_range_end") or tags.get("dagster/partition")
        first = tags.get("dagster/asset_partition_range_start")
        if not newest and "dagster/backfill" in tags:
            first, newest = _backfilled(context.instance, tags["dagster/backfill"])
        first = tags.get(FROM_DATE_TAG) or first
        as_of = date.fromisoformat(newest) if newest else default or settings.yesterday()
        check_ascending(settings.published, as_of)
        return cls(
            as_of=as_of,
            from_date=date.fromisoformat(first) if first else None,
            full_refresh=tags.get(FULL_REFRESH_TAG) == "true",
            restate_dials=tags.get(RESTATE_DIALS_TAG) == "true",
        )


def _backfilled(instance: dg.DagsterInstance, backfill_id: str) -> tuple[str | None, str | None]:
    """The first and the newest partition that a backfill is after.

    A backfill of everything runs what has no calendar first, in one run without a partition, and
    then the publication, in one run over the range: both are to mean the same day.
    """
    backfill = instance.get_backfill(backfill_id)
    if not backfill or not backfill.asset_backfill_data:
        return None, None
    subsets = backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key.values()
    days = sorted(day for subset in subsets for day in subset.get_partition_keys())
    return (days[0], days[-1]) if days else (None, None)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns an error of an asset's work into what Dagster should do about it.

    Wrong input, a failed check, a full or unwritable disk stay wrong: no retry. Other trouble with
    files may pass: two more attempts. Anything else is a defect and goes through as it is.
    """
    try:
        yield
    except InputError as error:
        raise dg.Failure(str(error), metadata={INPUT: True}, allow_retries=False) from error
    except RunError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except OSError as error:
        if error.errno in NOT_WORTH_A_RETRY:
            raise dg.Failure(str(error), allow_retries=False) from error
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=5) from error
    except duckdb.IOException as error:
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=5) from error
