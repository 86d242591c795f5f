"""Marts beside the slow reading of the contract: what only one of the two has."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from reference import build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb
    from raw_cases import Case

OPS = {"data_quality", "deliveries", "quarantined_events", "unmapped_events"}
OWN_NAMES = {
    "quarantined_events": {"id": "row_id"},
    "data_quality": {
        "received": "received_count",
        "counted": "counted_count",
        "duplicates": "duplicate_count",
        "missing_id": "quarantined_missing_id_count",
        "missing_event": "quarantined_missing_event_count",
        "bad_timestamp": "quarantined_bad_timestamp_count",
        "no_identity": "quarantined_no_identity_count",
        "excluded": "excluded_count",
        "anonymous": "anonymous_count",
        "waiting": "waiting_count",
        "late": "late_count",
        "late_1_to_7_days": "late_1_to_7_days_count",
        "late_8_to_30_days": "late_8_to_30_days_count",
        "late_31_to_90_days": "late_31_to_90_days_count",
        "late_over_90_days": "late_over_90_days_count",
        "unattributed": "unattributed_count",
        "ambiguous_account": "ambiguous_account_count",
        "unmapped": "unmapped_count",
        "bad_properties": "bad_properties_count",
    },
}


def comparable(value: object) -> object:
    """Return a cell so that equal values are equal objects, whatever type brought them."""
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, Decimal):
        return value.normalize() + 0
    return value


def rows_of(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> Counter[tuple[object, ...]]:
    """Return rows as a multiset of tuples in the order of the names."""
    names = list(names)
    return Counter(tuple(comparable(row[name]) for name in names) for row in rows)


def read(connection: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    """Return a mart's rows by column name."""
    schema = "ops" if table in OPS else "marts"
    cursor = connection.execute(f"select * from {schema}.{table}")
    names = [column[0] for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if table == "accounts":
        for row in rows:
            row["traits"] = json.loads(row["traits"] or "{}")
    return rows


def differences(connection: duckdb.DuckDBPyConnection, case: Case) -> dict[str, Any]:
    """Return, by table, rows that only the reference or only the mart has."""
    found = {}
    for table, expected in build(case.raw, case.dials, case.as_of, case.timezone).items():
        actual = read(connection, table)
        names = list(expected[0]) if expected else list(actual[0]) if actual else []
        own = OWN_NAMES.get(table, {})
        wanted = rows_of(expected, names)
        got = rows_of(actual, [own.get(name, name) for name in names])
        if wanted != got:
            found[table] = (names, list(wanted - got)[:3], list(got - wanted)[:3])
    return found
