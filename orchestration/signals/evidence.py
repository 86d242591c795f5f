"""Evidence: what a flag rested on, as JSON text that is the same for the same facts."""

import json
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a cell of a frame can hold
    """Turn a cell into its one JSON form.

    Dates become ISO text; a whole number loses its fraction (180.0 is 180), so that neither the
    engine's decimal type nor the spelling of a dial shows; the keys of a struct are sorted later.
    """
    match value:
        case bool() | int() | str() | None:
            return value
        case float() | Decimal():
            number = float(value)
            return int(number) if number.is_integer() else number
        case date():
            return value.isoformat()
        case Mapping():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            raise TypeError(f"evidence cannot hold {type(value).__name__}")


def evidence_texts(
    rows: Iterable[Mapping[str, Any]],
    as_of: date,
    parameters: Mapping[str, float | bool],
) -> list[str]:
    """Write one JSON object per row: its facts, the as-of date and the rule's thresholds.

    Args:
        rows: The evidence columns of each raised flag, by name.
        as_of: The day on which the condition held.
        parameters: The thresholds in force, under the key `parameters`.

    Returns:
        JSON texts in the order of `rows`, keys sorted, no blanks after separators' ends.
    """
    shared = {"as_of_date": as_of.isoformat(), "parameters": plain(parameters)}
    return [
        json.dumps(plain(row) | shared, sort_keys=True, ensure_ascii=False, allow_nan=False)
        for row in rows
    ]
