"""Evidence: what a flag rested on, as JSON text that is the same for the same facts."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

LEAST_PLAIN, MOST_PLAIN = 1e-4, 2.0**53
"""Python writes numbers below with an exponent; from the other on, not every whole one exists."""

ESCAPES = {mark: json.dumps(mark)[1:-1] for mark in ('"', "\\", *map(chr, range(32)))}


def plain(value: Any) -> Any:  # noqa: ANN401 - a threshold, or all of them
    """Turn a number, a text or a mapping of them into its one JSON form.

    A whole number loses its fraction (180.0 is 180), so that the spelling of a dial does not show.
    """
    match value:
        case bool() | int() | str():
            return value
        case float():
            return int(value) if value.is_integer() else value
        case Mapping():
            return {key: plain(inner) for key, inner in value.items()}
        case _:
            raise TypeError(f"evidence cannot hold {type(value).__name__}")


def evidence_texts(
    rows: pl.DataFrame, parameters: Mapping[str, float | bool], fingerprint: str
) -> pl.Series:
    """Write one JSON object per row: its facts, the rule's thresholds and the dials' fingerprint.

    Args:
        rows: The evidence columns of each raised flag.
        parameters: The thresholds in force, under the key `parameters`.
        fingerprint: Of all dials in force, under the key `dial_fingerprint`.

    Returns:
        JSON texts in the order of `rows`, keys sorted, spelled as `json.dumps` does.
    """
    shared = {"parameters": parameters, "dial_fingerprint": fingerprint}
    members = {name: _json(pl.col(name), kind) for name, kind in rows.schema.items()}
    return rows.select(
        _object(members | {name: pl.lit(_dumped(value)) for name, value in shared.items()})
    ).to_series()


def _dumped(value: Any) -> str:  # noqa: ANN401 - as `plain`
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _object(members: Mapping[str, pl.Expr]) -> pl.Expr:
    parts = []
    for place, name in enumerate(sorted(members)):
        parts += [pl.lit(f"{', ' if place else '{'}{_dumped(name)}: "), members[name]]
    return pl.concat_str(*parts, pl.lit("}"))


def _json(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Write the cells of a column of that type as JSON."""
    match kind:
        case pl.List():
            inner = value.list.eval(_json(pl.element(), kind.inner))  # type: ignore[arg-type]
            text = pl.concat_str(pl.lit("["), inner.list.join(", "), pl.lit("]"))
        case pl.Struct():
            members = {
                field.name: _json(value.struct.field(field.name), field.dtype)  # type: ignore[arg-type]
                for field in kind.fields
            }
            text = pl.when(value.is_not_null()).then(_object(members))
        case pl.String() | pl.Enum():
            marked = value.cast(pl.String).str.replace_many(ESCAPES)
            text = pl.concat_str(pl.lit('"'), marked, pl.lit('"'))
        case pl.Date():
            text = value.dt.to_string('"%Y-%m-%d"')
        case pl.Float64():
            text = value.map_batches(_numbers, return_dtype=pl.String, is_elementwise=True)
        case pl.Int64() | pl.Boolean():
            text = value.cast(pl.String)
        case _:
            raise TypeError(f"evidence cannot hold {kind}")
    return text.fill_null("null")


def _numbers(values: pl.Series) -> pl.Series:
    size = values.abs()
    is_odd = ((size > 0) & (size < LEAST_PLAIN)) | (size >= MOST_PLAIN) | ~size.is_finite()
    odd = is_odd.arg_true()
    tame = values.set(is_odd.fill_null(value=False), 0.0)
    whole = tame.cast(pl.Int64)
    text = tame.cast(pl.String).zip_with(tame != whole, whole.cast(pl.String))
    return text.scatter(odd, [_dumped(value) for value in values.gather(odd)])
