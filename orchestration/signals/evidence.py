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
    rows: Iterable[Mapping[str, Any]], parameters: Mapping[str, float | bool], fingerprint: str
) -> list[str]:
    """Write one JSON object per row: its facts, the rule's thresholds and the dials' fingerprint.

    Args:
        rows: The evidence columns of each raised flag, by name.
        parameters: The thresholds in force, under the key `parameters`.
        fingerprint: Of all dials in force, under the key `dial_fingerprint`.

    Returns:
        JSON texts in the order of `rows`, keys sorted.
    """
    shared = {"parameters": plain(parameters), "dial_fingerprint": fingerprint}
    return [
        json.dumps(plain(row) | shared, sort_keys=True, ensure_ascii=False, allow_nan=False)
        for row in rows
    ]
