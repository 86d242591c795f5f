"""Trends: where an entity's weekly points are going, and how they compare with its own past.

What belongs here: level, baseline, slope, its test and the direction that follows from them. What
does not: comparing entities with thresholds and telling somebody, which is `flags`.

Points are decimals with four places. They are held as whole ten-thousandths, every sum, median and
pairwise slope stays an integer, and a number is rounded once, at the end: so neither the order of
the rows nor the size of a chunk changes a digit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals.weeks import (
    BASELINE_GAP_WEEKS,
    BASELINE_WEEKS,
    HISTORY_WEEKS,
    MIN_BASELINE_WEEKS,
    MIN_TREND_WEEKS,
    NOW_WEEKS,
    TREND_WEEKS,
    WEEK_DAYS,
)
from orchestration.signals.wording import counted, number, percent

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SIGNIFICANT_P = 0.05
"""A slope with a larger p-value may be chance."""

CLEAR_CHANGE = 0.1
"""A significant slope is a direction only if the level moved by this share too."""

LARGE_FALL_RATIO = 0.5
"""At or below this share of the baseline a fall needs no significant slope: a break is no line."""

LARGE_RISE_RATIO = 2.0
"""At or above this multiple of the baseline a rise needs no significant slope."""

UNITS_PER_POINT = 10_000
CHUNK_ENTITIES = 50_000


@dataclass(frozen=True, slots=True)
class MannKendall:
    """The Mann-Kendall test of each row.

    Attributes:
        s: Rising pairs less falling pairs, shape (entities,).
        variance: Variance of S without a trend, corrected for ties.
        z: S, one closer to zero (continuity), in standard deviations.
        p_value: Two-sided, from the normal distribution.
    """

    s: Ints
    variance: Floats
    z: Floats
    p_value: Floats


def mann_kendall(weekly: Ints) -> MannKendall:
    """Test every row for a monotonic trend.

    Args:
        weekly: Shape (entities, weeks), the oldest week first, at least two weeks.

    Returns:
        Per entity S, its variance, z and p. A constant row has z 0 and p 1.

    Source:
        Mann (1945), Kendall (1975): var(S) = (n(n-1)(2n+5) - sum of t(t-1)(2t+5) over the groups
        of t equal values) / 18; z = (S - sign S) / sqrt(var S).
    """
    weeks = weekly.shape[1]
    earlier, later = np.triu_indices(weeks, k=1)
    s = np.sign(weekly[:, later] - weekly[:, earlier]).sum(axis=1)
    # Each of the t members of a group sees t equal values, so the groups need not be found.
    equals = (weekly[:, :, None] == weekly[:, None, :]).sum(axis=2)
    ties = ((equals - 1) * (2 * equals + 5)).sum(axis=1)
    variance = (weeks * (weeks - 1) * (2 * weeks + 5) - ties) / 18
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    z = (s - np.sign(s)) / deviation
    p_value = np.array([math.erfc(abs(value) / math.sqrt(2)) for value in z.tolist()])
    return MannKendall(s=s, variance=variance, z=z, p_value=p_value)


def theil_sen(weekly: Ints) -> Floats:
    """Take the median slope over all pairs of weeks of every row.

    Args:
        weekly: Shape (entities, weeks), the oldest week first, at least two weeks.

    Returns:
        Slope per week in the unit of `weekly`, shape (entities,).

    Source:
        Theil (1950), Sen (1968); the median of an even number of slopes is the mean of the middle
        two.
    """
    twice, denominator = _twice_theil_sen(weekly)
    return twice / (2 * denominator)


def _twice_theil_sen(weekly: Ints) -> tuple[Ints, int]:
    """Twice the median slope, as integers over a common denominator."""
    weeks = weekly.shape[1]
    earlier, later = np.triu_indices(weeks, k=1)
    denominator = math.lcm(*range(1, weeks))
    slopes = (weekly[:, later] - weekly[:, earlier]) * (denominator // (later - earlier))
    return _twice_median(slopes), denominator


def _twice_median(rows: Ints) -> Ints:
    ordered = np.sort(rows, axis=1)
    count = rows.shape[1]
    twice: Ints = ordered[:, (count - 1) // 2] + ordered[:, count // 2]
    return twice


def _ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any] | int) -> Floats:
    """Divide and round to 6 places, half away from zero; nan where the denominator is 0.

    Exact as long as the scaled numerator fits a float's 53 bits (450,000 points a week do).
    """
    below = np.asarray(denominator, dtype=np.float64)
    scaled = np.divide(
        numerator * 1e6, below, out=np.full(numerator.shape, np.nan), where=below != 0
    )
    rounded: Floats = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) / 1e6
    return rounded + 0.0  # no negative zero


def trends_schema(keys: Sequence[str]) -> pl.Schema:
    """Give the columns of a trend frame, in order, for entities with these keys."""
    texts = {name: pl.String() for name in (*keys, "trend", "sentence")}
    numbers = (
        "points_now",
        "points_baseline",
        "baseline_ratio",
        "slope_points_per_week",
        "slope_p_value",
    )
    return pl.Schema(
        texts
        | {"weeks_observed": pl.Int64()}
        | {name: pl.Float64() for name in numbers}
        | {"is_default_model": pl.Boolean(), "as_of_date": pl.Date()}
    )


def score_trends(
    entities: pl.DataFrame, weekly: pl.DataFrame, keys: Sequence[str], as_of: date
) -> pl.DataFrame:
    """Measure the trend of every entity.

    Level, baseline and direction:

    - `points_now` is the mean of the last 3 weeks, `points_baseline` the median of the up to 12
      weeks that are older than 28 days (null with fewer than 4), `baseline_ratio` their quotient.
    - Slope (Theil-Sen) and p-value (Mann-Kendall) look at the last 8 weeks; null with fewer than 5,
      and then the trend is `not_enough_data`.
    - `falling`: most pairs of weeks fall, and either the fall is significant and the level is down
      by 10 % or more, or the level is at half of the baseline or less. `rising`: the same upwards,
      or at twice the baseline or more. The level is `baseline_ratio`; where that is null, the last
      3 weeks against the mean of the slope's earlier weeks, and significance is then a must.
      Everything else is `steady`.

    Args:
        entities: One row per entity: `keys`, `is_default_model`, `observed_from` (date).
        weekly: `keys`, `week` (0 = the seven days that end on the as-of date), `points`; weeks
            without points may be missing.
        keys: The names of the key columns.
        as_of: The last day of week 0.

    Returns:
        One row per entity, `trends_schema(keys)`, sorted by the keys; numbers rounded to 6 places,
        half away from zero.
    """
    ordered = entities.sort(*keys)
    units = (
        weekly.filter(pl.col("week").is_between(0, HISTORY_WEEKS - 1))
        .join(ordered.select(*keys).with_row_index("entity"), on=list(keys))
        .select(
            pl.col("entity").cast(pl.Int64),
            pl.col("week").cast(pl.Int64),
            (pl.col("points").cast(pl.Float64) * UNITS_PER_POINT).round(0).cast(pl.Int64),
        )
        .sort("entity")
    )
    observed = ordered.select(
        (((as_of - pl.col("observed_from")).dt.total_days() + 1) // WEEK_DAYS).clip(lower_bound=0)
    ).to_series()
    of_entity, week, points = (units[name].to_numpy() for name in units.columns)
    weeks_observed = observed.to_numpy()
    measured = []
    for start in range(0, ordered.height, CHUNK_ENTITIES):
        weeks = weeks_observed[start : start + CHUNK_ENTITIES]
        first, last = np.searchsorted(of_entity, (start, start + len(weeks)))
        matrix = np.zeros((len(weeks), HISTORY_WEEKS), dtype=np.int64)
        np.add.at(matrix, (of_entity[first:last] - start, week[first:last]), points[first:last])
        measured.append(_measure(matrix, weeks))
    schema = trends_schema(keys)
    if not measured:
        return schema.to_frame()
    return (
        pl.concat([ordered, pl.concat(measured)], how="horizontal")
        .with_columns(_sentence(), as_of_date=pl.lit(as_of, dtype=pl.Date))
        .select(schema.names())
    )


def _measure(weekly: Ints, weeks_observed: Ints) -> pl.DataFrame:
    """Measure one chunk: weekly units of shape (entities, 16), the youngest week first."""
    now_units = weekly[:, :NOW_WEEKS].sum(axis=1)
    points_now = _ratio(now_units, NOW_WEEKS * UNITS_PER_POINT)
    points_now[weeks_observed < NOW_WEEKS] = np.nan
    twice_baseline, has_baseline = _twice_baselines(weekly, weeks_observed)
    points_baseline = _ratio(twice_baseline, 2 * UNITS_PER_POINT)
    points_baseline[~has_baseline] = np.nan
    # With no baseline twice_baseline is 0, and so the ratio nan.
    baseline_ratio = _ratio(2 * now_units, NOW_WEEKS * twice_baseline)

    slope = np.full(len(weekly), np.nan)
    p_value = np.full(len(weekly), np.nan)
    trend = np.full(len(weekly), "not_enough_data", dtype=object)
    for weeks in range(MIN_TREND_WEEKS, TREND_WEEKS + 1):
        rows = np.flatnonzero(np.minimum(weeks_observed, TREND_WEEKS) == weeks)
        if not len(rows):
            continue
        series = weekly[rows, :weeks][:, ::-1]
        test = mann_kendall(series)
        twice, denominator = _twice_theil_sen(series)
        slope[rows] = _ratio(twice, 2 * denominator * UNITS_PER_POINT)
        p_value[rows] = _ratio(test.p_value, 1)
        trend[rows] = _direction(test.s, p_value[rows], baseline_ratio[rows], series)
    return pl.DataFrame(
        {
            "trend": pl.Series(trend.tolist(), dtype=pl.String),
            "weeks_observed": weeks_observed,
            "points_now": points_now,
            "points_baseline": points_baseline,
            "baseline_ratio": baseline_ratio,
            "slope_points_per_week": slope,
            "slope_p_value": p_value,
        },
        nan_to_null=True,
    )


def _twice_baselines(weekly: Ints, weeks_observed: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Twice the median of each entity's baseline weeks (0 without), and whether it has one."""
    twice = np.zeros(len(weekly), dtype=np.int64)
    lengths = np.minimum(weeks_observed - BASELINE_GAP_WEEKS, BASELINE_WEEKS)
    for length in range(MIN_BASELINE_WEEKS, BASELINE_WEEKS + 1):
        rows = np.flatnonzero(lengths == length)
        past = weekly[rows, BASELINE_GAP_WEEKS : BASELINE_GAP_WEEKS + length]
        twice[rows] = _twice_median(past)
    return twice, lengths >= MIN_BASELINE_WEEKS


def _direction(
    s: Ints, p_value: Floats, baseline_ratio: Floats, series: Ints
) -> npt.NDArray[np.str_]:
    """Combine significance and level; `series` has the oldest week first."""
    earlier_weeks = series.shape[1] - NOW_WEEKS
    now = series[:, -NOW_WEEKS:].sum(axis=1) * earlier_weeks
    earlier = series[:, :-NOW_WEEKS].sum(axis=1) * NOW_WEEKS
    within = np.divide(
        now, earlier, out=np.where(now > 0, np.inf, 1.0), where=earlier > 0, dtype=np.float64
    )
    level = np.where(np.isnan(baseline_ratio), within, baseline_ratio)
    is_significant = p_value <= SIGNIFICANT_P
    # Comparing with nan, a missing baseline, is false: then only significance counts.
    falling = (s < 0) & (
        (is_significant & (level <= 1 - CLEAR_CHANGE)) | (baseline_ratio <= LARGE_FALL_RATIO)
    )
    rising = (s > 0) & (
        (is_significant & (level >= 1 + CLEAR_CHANGE)) | (baseline_ratio >= LARGE_RISE_RATIO)
    )
    return np.select([falling, rising], ["falling", "rising"], "steady")


def _sentence() -> pl.Expr:
    ratio = pl.col("baseline_ratio")
    now, baseline = number(pl.col("points_now")), number(pl.col("points_baseline"))
    slope = number(pl.col("slope_points_per_week"))
    slope_weeks = counted(pl.col("weeks_observed").clip(upper_bound=TREND_WEEKS), "week", "weeks")
    past = counted(
        (pl.col("weeks_observed") - BASELINE_GAP_WEEKS).clip(0, BASELINE_WEEKS), "week", "weeks"
    )
    too_short = pl.format(
        "{} observed; a trend needs {}.",
        counted(pl.col("weeks_observed"), "whole week", "whole weeks"),
        MIN_TREND_WEEKS,
    )
    steady = pl.format(
        "Steady at {} points a week, against {} over its own {}.", now, baseline, past
    )
    moved = pl.when(pl.col("trend") == "falling").then(pl.lit("fell")).otherwise(pl.lit("rose"))
    against_past = pl.format(
        "Points {} {} against its own {}, from {} to {} a week; slope {} a week over {}.",
        moved,
        percent(ratio - 1),
        past,
        baseline,
        now,
        slope,
        slope_weeks,
    )
    without_past = pl.format(
        "Points {} over {}, to {} a week; slope {} a week.", moved, slope_weeks, now, slope
    )
    return (
        pl.when(pl.col("trend") == "not_enough_data")
        .then(too_short)
        .when((pl.col("trend") == "steady") & ratio.is_not_null())
        .then(steady)
        .when((pl.col("trend") == "steady") & (pl.col("points_now") == 0))
        .then(pl.lit(f"No points in the last {NOW_WEEKS} weeks."))
        .when(pl.col("trend") == "steady")
        .then(pl.format("Steady at {} points a week.", now))
        .when(ratio.is_not_null())
        .then(against_past)
        .otherwise(without_past)
        .alias("sentence")
    )
