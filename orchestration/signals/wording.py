"""Numbers and days as the words of a sentence: polars expressions that yield text, nothing else."""

import polars as pl


def number(value: pl.Expr) -> pl.Expr:
    """Tell a number with at most one decimal: 42, 0.5, -3.2; half away from zero."""
    tenths = ((value.abs() * 1_000_000).round(0).cast(pl.Int64) + 50_000) // 100_000
    sign = pl.when((value < 0) & (tenths > 0)).then(pl.lit("-")).otherwise(pl.lit(""))
    fraction = (
        pl.when(tenths % 10 == 0)
        .then(pl.lit(""))
        .otherwise(pl.format(".{}", (tenths % 10).cast(pl.String)))
    )
    return pl.concat_str(sign, (tenths // 10).cast(pl.String), fraction)


def percent(rate: pl.Expr) -> pl.Expr:
    """Tell a share in whole percent, half away from zero: 0.585 is "59 %"."""
    millionths = (rate.abs() * 1_000_000).round(0).cast(pl.Int64)
    return pl.format("{} %", (millionths + 5_000) // 10_000)


def signed(change: pl.Expr) -> pl.Expr:
    """Tell a change in whole percent with its sign: -0.04 is "-4 %", 0.1 is "+10 %"."""
    millionths = (change.abs() * 1_000_000).round(0).cast(pl.Int64)
    whole = (millionths + 5_000) // 10_000
    sign = (
        pl.when(whole == 0)
        .then(pl.lit("±"))
        .when(change < 0)
        .then(pl.lit("-"))
        .otherwise(pl.lit("+"))
    )
    return pl.format("{}{} %", sign, whole)


def counted(count: pl.Expr, one: str, more: str) -> pl.Expr:
    """Tell a count with its noun: "1 day", "9 days"."""
    noun = pl.when(count == 1).then(pl.lit(one)).otherwise(pl.lit(more))
    return pl.format("{} {}", count, noun)


def days_ago(days: pl.Expr) -> pl.Expr:
    """Tell how long before the day of the facts something was: "that day", "9 days ago"."""
    return (
        pl.when(days == 0)
        .then(pl.lit("that day"))
        .otherwise(pl.format("{} ago", counted(days, "day", "days")))
    )


def day(value: pl.Expr) -> pl.Expr:
    """Tell a day: "2026-03-31"."""
    return value.dt.to_string("%Y-%m-%d")
