"""Rows of `identifies` and `groups` as delivered: ids, arrival, doubles and broken rows."""

from datetime import date, datetime, time, timedelta
from typing import Any

import polars as pl
from numpy.random import default_rng

from orchestration.simulate.fleet import TEST_ACCOUNT, UNKNOWN_STATUS

_TIME = pl.Datetime("us")

SCHEMAS: dict[str, dict[str, Any]] = {
    "identifies": {
        "id": pl.String,
        "user_id": pl.String,
        "anonymous_id": pl.String,
        "timestamp": _TIME,
        "received_at": _TIME,
        "email": pl.String,
        "name": pl.String,
        "role": pl.String,
        "title": pl.String,
        "department": pl.String,
        "created_at": _TIME,
    },
    "groups": {
        "id": pl.String,
        "group_id": pl.String,
        "user_id": pl.String,
        "timestamp": _TIME,
        "received_at": _TIME,
        "name": pl.String,
        "plan": pl.String,
        "status": pl.String,
        "created_at": _TIME,
        "trial_ends_at": _TIME,
        "contract_started_at": _TIME,
        "contract_ends_at": _TIME,
        "canceled_at": _TIME,
        "seats": pl.Int64,
        "mrr": pl.Int64,
        "industry": pl.String,
        "region": pl.String,
        "owner": pl.String,
    },
}

_BROKEN: dict[str, dict[str, list[dict[str, Any]]]] = {
    "identifies": {
        "missing_id": [{"id": None}, {"id": " undefined "}],
        "bad_timestamp": [{"timestamp": None}, {"timestamp": datetime(1970, 1, 1)}],  # noqa: DTZ001 UTC without a zone
        "no_identity": [
            {"user_id": None, "anonymous_id": None},
            {"user_id": "", "anonymous_id": "null"},
        ],
    },
    "groups": {
        "missing_id": [{"id": None}, {"id": ""}],
        "missing_group": [{"group_id": None}, {"group_id": "NULL"}],
        "bad_timestamp": [{"timestamp": None}, {"timestamp": datetime(1999, 12, 31)}],  # noqa: DTZ001 UTC without a zone
    },
}
"""How a row can be broken, per table and reason."""


def deliver(
    table: str, source: list[dict[str, Any]], *, staff: set[str], last_date: date, seed: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Give the rows ids and arrival times, repeat some, and add broken ones.

    Args:
        table: `identifies` or `groups`.
        source: what happened, one dictionary per row, `timestamp` set, without an id.
        staff: user ids whose rows an exclusion dial matches.
        last_date: nothing arrives after this day.
        seed: of the simulation.

    Returns:
        The rows in order of arrival, and the counts of what was planted.
    """
    draw = default_rng([seed, 3, len(table)])
    end = datetime.combine(last_date, time(23, 59, 59))
    rows: list[dict[str, Any]] = []
    counts = {"counted": 0, "duplicates": 0, "excluded": 0}
    unknown = 0
    chance = draw.random(size=(len(source), 3))
    ordered = sorted(enumerate(source), key=lambda item: (item[1]["timestamp"], item[0]))
    for number, (_, happened) in enumerate(ordered):
        delay = timedelta(seconds=1 + int(chance[number, 0] * 6))
        if chance[number, 1] < 0.005:  # noqa: PLR2004 one in two hundred arrives days later
            delay = timedelta(hours=5 + int(chance[number, 0] * 200))
        row = {
            "id": f"{table[0]}{number + 1}",
            **happened,
            "received_at": min(happened["timestamp"] + delay, max(end, happened["timestamp"])),
        }
        if chance[number, 1] > 0.999 and row.get("user_id"):  # noqa: PLR2004 one in a thousand
            row["user_id"] = f" {row['user_id']} "
        rows.append(row)
        is_excluded = happened.get("group_id") == TEST_ACCOUNT or happened.get("user_id") in staff
        counts["excluded" if is_excluded else "counted"] += 1
        if row.get("status") == UNKNOWN_STATUS:
            unknown += 1
        if chance[number, 2] < 0.01 and not is_excluded:  # noqa: PLR2004 one in a hundred
            hour = timedelta(seconds=int(chance[number, 0] * 3600))
            rows.append(
                row
                | {
                    "timestamp": row["timestamp"],
                    "received_at": min(row["received_at"] + hour, end),
                }
            )
            counts["duplicates"] += 1
    quarantined = {}
    good = rows[: max(1, len(rows) // 400)]
    for reason, faults in _BROKEN[table].items():
        broken = [
            row | {"id": f"{row['id']}-{reason}"} | faults[i % len(faults)]
            for i, row in enumerate(good)
        ]
        rows += broken
        quarantined[reason] = len(broken)
    rows.sort(key=lambda r: (r["received_at"], str(r["id"])))
    if table == "groups":
        counts["unknown_statuses"] = unknown
    schema = SCHEMAS[table]
    frame = pl.DataFrame({c: [r.get(c) for r in rows] for c in schema}, schema=schema)
    return frame, {"received": len(rows), **counts, "quarantined": quarantined}
