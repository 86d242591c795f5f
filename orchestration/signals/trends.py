"""Trends: where an entity's weekly points are going, and how they compare with its own past.

What belongs here: level, baseline, slope, its test and the direction that follows from them. What
does not: comparing entities with thresholds and telling somebody, which is `flags`.

Points are decimals with four places. They are held as whole ten-thousandths, every sum, median and
pairwise slope stays an integer, and a number is rounded once, at the end: so neither the order of
the rows nor the size of a chunk changes a digit.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from orchestration.signals.weeks import (
    BASELINE_GAP_WEEKS,
    BASELINE_WEEKS,
    HISTORY_DAYS,
    HISTORY_WEEKS,
    MIN_BASELINE_WEEKS,
    MIN_TREND_WEEKS,
    NOW_WEEKS,
    RECENT_DAYS,
    TREND_WEEKS,
    WEEK_DAYS,
)
from orchestration.signals.wording import counted, number, percent

Ints = npt.NDArray[np.signedinteger[Any]]
Floats = npt.NDArray[np.float64]

SIGNIFICANT_P = 0.05
"""A slope with a larger p-value may be chance."""

CLEAR_CHANGE = 0.1
"""A significant slope is a direction only if the level moved by this share too."""

LARGE_FALL_RATIO = 0.5
"""At or below this share of the baseline a fall needs no significant slope: a break is no line."""

LARGE_RISE_RATIO = 2.0
"""At or above this multiple of the baseline a rise needs no significant slope."""

CONFIDENCE = 0.95
MAD_TO_DEVIATION = 0.6745
"""The median absolute deviation of a normal distribution, in standard deviations."""

MIN_DISPERSION = 1.0
"""Nobody's points are steadier than chance: below that of Poisson, the fleet says too little."""

UNITS_PER_POINT = 10_000
CHUNK_ENTITIES = 5_000

TRENDS = ("not_enough_data", "steady", "rising", "falling")

NUMBERS = (
    "points_now",
    "points_baseline",
    "baseline_ratio",
    "fleet_ratio",
    "relative_ratio",
    "slope_points_per_week",
    "slope_low_points_per_week",
    "slope_high_points_per_week",
    "slope_p_value",
    "change_p_value",
    "robust_z",
)


@dataclass(frozen=True, slots=True)
class MannKendall:
    """The Mann-Kendall test of each cell, one array per quantity.

    Attributes:
        s: Rising pairs less falling pairs.
        ties: Sum of t(t-1)(2t+5) over the groups of t equal values.
        counts: How many weeks were tested.
    """

    s: Ints
    ties: Ints
    counts: Ints

    @property
    def variance(self) -> Floats:
        """Variance of S without a trend, corrected for ties."""
        n = self.counts.astype(np.float64)
        return (n * (n - 1) * (2 * n + 5) - self.ties) / 18

    @property
    def z(self) -> Floats:
        """S, one closer to zero (continuity), in standard deviations; 0 for a constant."""
        variance = self.variance
        deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
        return (self.s - np.sign(self.s)) / deviation

    @property
    def p_value(self) -> Floats:
        """Two-sided: exact below 8 weeks (all orders equally likely, ties kept), else normal."""
        p_value: Floats = special.erfc(np.abs(self.z) / math.sqrt(2))
        short = self.counts < TREND_WEEKS
        table = _exact_p_values()
        counts, ties = self.counts[short], self.ties[short]
        p_value[short] = table[counts, ties, np.abs(self.s[short])]
        return p_value


def mann_kendall(weeks: Sequence[Floats], counts: Ints) -> MannKendall:
    """Test every cell for a monotonic trend.

    Args:
        weeks: One array per week, the youngest first.
        counts: How many of the weeks, from the youngest, belong to the cell's series.

    Source:
        Mann (1945), Kendall (1975): var(S) = (n(n-1)(2n+5) - sum of t(t-1)(2t+5) over the groups
        of t equal values) / 18; z = (S - sign S) / sqrt(var S).
    """
    s = np.zeros(counts.shape, dtype=np.int16)
    equals = np.zeros((len(weeks), *counts.shape), dtype=np.int8)
    for older in range(1, len(weeks)):
        is_seen = counts > older
        for younger in range(older):
            rises = (weeks[younger] > weeks[older]) & is_seen
            falls = (weeks[younger] < weeks[older]) & is_seen
            s += rises
            s -= falls
            same = is_seen & ~(rises | falls)
            equals[younger] += same
            equals[older] += same
    ties = np.zeros(counts.shape, dtype=np.int32)
    # Each of the t members of a group sees t - 1 others, so the groups need not be found.
    for others in equals:
        wide = others.astype(np.int32)
        ties += wide * (2 * wide + 7)
    return MannKendall(s=s, ties=ties, counts=np.minimum(counts, len(weeks)))


@cache
def _exact_p_values() -> Floats:
    """P-values by weeks, ties and |S|, for short series.

    Source:
        Kendall (1970): S is the number of untied pairs less twice the inversions, and those of a
        multiset are counted by the Gaussian multinomial coefficient.
    """
    longest = TREND_WEEKS - 1
    most_ties = longest * (longest - 1) * (2 * longest + 5)
    pairs = longest * (longest - 1) // 2
    table = np.full((longest + 1, most_ties + 1, pairs + 1), np.nan)
    for count in range(longest + 1):
        for groups in _partitions(count, count):
            ties = sum(t * (t - 1) * (2 * t + 5) for t in groups)
            untied = (count * (count - 1) - sum(t * (t - 1) for t in groups)) // 2
            ways = _inversions(groups)
            sizes = np.abs(untied - 2 * np.arange(len(ways)))
            for size in range(pairs + 1):
                table[count, ties, size] = ways[sizes >= size].sum() / ways.sum()
    return table


def _partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    if total == 0:
        yield ()
    for part in range(min(total, largest), 0, -1):
        for rest in _partitions(total - part, part):
            yield (part, *rest)


def _inversions(groups: Sequence[int]) -> Ints:
    """How many orders of a multiset have 0, 1, 2 ... inversions."""
    ways = np.ones(1, dtype=np.int64)
    placed = 0
    for group in groups:
        for member in range(1, group + 1):
            placed += 1
            # Times (1 - q^placed), divided by (1 - q^member).
            longer = np.concatenate([ways, np.zeros(placed, dtype=np.int64)])
            longer[placed:] -= ways
            for place in range(member, len(longer)):
                longer[place] += longer[place - member]
            ways = longer[: len(longer) - member]
    return ways


def theil_sen(weekly: Ints, unit: int) -> Floats:
    """Take the median slope over all pairs of weeks of every row.

    Args:
        weekly: Shape (entities, weeks), the oldest week first, at least two weeks.
        unit: What counts as 1 of it.

    Returns:
        Slope per week, to 6 places, shape (entities,).

    Source:
        Theil (1950), Sen (1968); the median of an even number of slopes is the mean of the middle
        two.
    """
    slopes, denominator = _slopes(weekly)
    return rounded_ratio(_twice_median(slopes), 2 * denominator * unit)


def slope_interval(weekly: Ints, variance: Floats, unit: int) -> tuple[Floats, Floats]:
    """Give the 95 % interval of the Theil-Sen slope of every row.

    Args:
        weekly: Shape (entities, weeks), the oldest week first, at least two weeks.
        variance: Variance of S of each row, as `MannKendall` has it.
        unit: What counts as 1 of it.

    Returns:
        Its lower and upper end per week, to 6 places.

    Source:
        Sen (1968): the ordered slopes whose ranks lie 1.96 sqrt(var S) around the middle.
    """
    slopes, denominator = _slopes(weekly)
    pairs = slopes.shape[1]
    reach = special.ndtri(1 - (1 - CONFIDENCE) / 2) * np.sqrt(variance)
    low = np.maximum(np.round((pairs - reach) / 2).astype(int) - 1, 0)
    high = np.minimum(np.round((pairs + reach) / 2).astype(int), pairs - 1)
    rows = np.arange(len(slopes))
    ordered = np.sort(slopes, axis=1)
    lower, upper = (rounded_ratio(ordered[rows, rank], denominator * unit) for rank in (low, high))
    return lower, upper


def _slopes(weekly: Ints) -> tuple[Ints, int]:
    """The slope of every pair of weeks, as integers over a common denominator."""
    weeks = weekly.shape[1]
    earlier, later = np.triu_indices(weeks, k=1)
    denominator = math.lcm(*range(1, weeks))
    slopes: Ints = (weekly[:, later] - weekly[:, earlier]) * (denominator // (later - earlier))
    return slopes, denominator


def _twice_median(rows: Ints) -> Ints:
    ordered = np.sort(rows, axis=1)
    count = rows.shape[1]
    twice: Ints = ordered[:, (count - 1) // 2] + ordered[:, count // 2]
    return twice


def rounded_ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any] | float) -> Floats:
    """Divide and round to 6 places, half away from zero; nan where the denominator is 0.

    Exact as long as the scaled numerator fits a float's 53 bits (450,000 points a week do).
    """
    below = np.asarray(denominator, dtype=np.float64)
    scaled = np.multiply(numerator, 1e6, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled /= below
    np.copyto(scaled, np.nan, where=below == 0)
    rounded: Floats = np.abs(scaled)  # from here on in place: these arrays are large
    rounded += 0.5
    np.floor(rounded, out=rounded)
    np.copysign(rounded, scaled, out=rounded)
    rounded /= 1e6
    rounded += 0.0  # no negative zero
    return rounded


@dataclass(frozen=True, slots=True)
class Levels:
    """How much every cell has now and had before; nan where there are too few weeks.

    Attributes:
        weeks_observed: Whole weeks since first seen.
        points_now: Mean weekly points of the last weeks.
        points_baseline: Median weekly points of the baseline's weeks.
        baseline_ratio: The one over the other; nan too where the baseline is 0.
        baseline_mean: Mean weekly points of the baseline's weeks.
        burstiness: Their variance over their mean, in points; nan where the mean is 0.
    """

    weeks_observed: Ints
    points_now: Floats
    points_baseline: Floats
    baseline_ratio: Floats
    baseline_mean: Floats
    burstiness: Floats


def levels(weeks: Sequence[Floats], weeks_observed: Ints) -> Levels:
    """Compare the last weeks of every cell with its own past.

    Args:
        weeks: HISTORY_WEEKS arrays of whole ten-thousandths of points, the youngest week first,
            silent weeks as zeros.
        weeks_observed: Whole weeks since first seen, of the same shape; what an older week holds,
            days of the one in which a cell was first seen, does not count.

    Returns:
        Numbers rounded to 6 places (but the mean and the burstiness).
    """
    now = sum(weeks[1:NOW_WEEKS], start=weeks[0])
    points_now = rounded_ratio(now, NOW_WEEKS * UNITS_PER_POINT)
    points_now[weeks_observed < NOW_WEEKS] = np.nan
    past = weeks[BASELINE_GAP_WEEKS:HISTORY_WEEKS]
    length = np.clip(weeks_observed - BASELINE_GAP_WEEKS, 0, BASELINE_WEEKS)
    twice = _twice_median_of_past(past, length)
    has_past = length >= MIN_BASELINE_WEEKS
    points_baseline = rounded_ratio(twice, 2 * UNITS_PER_POINT)
    points_baseline[~has_past] = np.nan
    ratio = rounded_ratio(2 * now, NOW_WEEKS * twice)
    ratio[~has_past] = np.nan

    count = np.where(has_past, length, 1)
    mean, squares = np.zeros((2, *length.shape))
    for age, week in enumerate(past):
        is_whole = length > age
        np.add(mean, week, out=mean, where=is_whole)
        np.add(squares, np.square(week / UNITS_PER_POINT), out=squares, where=is_whole)
    mean /= count * UNITS_PER_POINT
    variance = (squares - count * np.square(mean)) / np.maximum(count - 1, 1)
    burstiness = np.divide(
        variance, mean, out=np.full(mean.shape, np.nan), where=has_past & (mean > 0)
    )
    mean[~has_past] = np.nan
    return Levels(
        weeks_observed=weeks_observed,
        points_now=points_now,
        points_baseline=points_baseline,
        baseline_ratio=ratio,
        baseline_mean=mean,
        burstiness=burstiness,
    )


def _twice_median_of_past(past: Sequence[Floats], length: Ints) -> Floats:
    """Twice the median of the youngest `length` weeks of every cell, 0 where it is too short.

    A sorting network compares whole arrays, which is many times faster than sorting each cell.
    """
    ordered = [np.where(length > age, week, -1.0) for age, week in enumerate(past)]
    spare = np.empty_like(ordered[0])
    for low, high in sorting_network(len(ordered)):
        np.minimum(ordered[low], ordered[high], out=spare)
        np.maximum(ordered[low], ordered[high], out=ordered[high])
        ordered[low], spare = spare, ordered[low]
    twice: Floats = np.zeros(length.shape)
    for count in range(MIN_BASELINE_WEEKS, BASELINE_WEEKS + 1):
        first = BASELINE_WEEKS - count  # unobserved weeks are sorted to the front
        middle = ordered[first + (count - 1) // 2] + ordered[first + count // 2]
        np.copyto(twice, middle, where=length == count)
    return twice


@cache
def sorting_network(size: int) -> tuple[tuple[int, int], ...]:
    """Pairs to compare and exchange, in order, so that `size` arrays end up sorted.

    Source:
        Batcher's odd-even merge sort (Knuth, TAOCP 3, 5.3.4, algorithm M).
    """
    pairs = []
    top = (1 << (size - 1).bit_length()) >> 1
    merge = top
    while merge:
        step, remainder, distance = top, 0, merge
        while True:
            pairs += [(i, i + distance) for i in range(size - distance) if i & merge == remainder]
            if step == merge:
                break
            distance, step, remainder = step - merge, step >> 1, merge
        merge >>= 1
    return tuple(pairs)


def directions(weeks: Sequence[Floats], measured: Levels, test: MannKendall) -> Ints:
    """Tell where every cell is going, as an index into TRENDS.

    `falling`: most pairs of weeks fall, and either the fall is significant and the level is down by
    10 % or more, or the level is at half of the baseline or less. `rising`: the same upwards, or at
    twice the baseline or more. The level is `baseline_ratio`; where that is nan, the last 3 weeks
    against the mean of the test's earlier weeks, and significance is then a must.
    """
    now = sum(weeks[1:NOW_WEEKS], start=weeks[0])
    earlier = np.zeros(now.shape)
    for age in range(NOW_WEEKS, TREND_WEEKS):
        np.add(earlier, weeks[age], out=earlier, where=test.counts > age)
    within = np.divide(
        now * (test.counts - NOW_WEEKS),
        earlier * NOW_WEEKS,
        out=np.where(now > 0, np.inf, 1.0),
        where=earlier > 0,
    )
    ratio = measured.baseline_ratio
    level = np.where(np.isnan(ratio), within, ratio)
    is_significant = rounded_ratio(test.p_value, 1) <= SIGNIFICANT_P
    # Comparing with nan, a missing baseline, is false: then only significance counts.
    is_falling = (test.s < 0) & (
        (is_significant & (level <= 1 - CLEAR_CHANGE)) | (ratio <= LARGE_FALL_RATIO)
    )
    is_rising = (test.s > 0) & (
        (is_significant & (level >= 1 + CLEAR_CHANGE)) | (ratio >= LARGE_RISE_RATIO)
    )
    is_known = measured.weeks_observed >= MIN_TREND_WEEKS
    codes = np.select(
        [~is_known, is_falling, is_rising],
        [TRENDS.index("not_enough_data"), TRENDS.index("falling"), TRENDS.index("rising")],
        TRENDS.index("steady"),
    )
    return codes.astype(np.uint8)


def change_p_values(measured: Levels, dispersion: npt.NDArray[Any] | float) -> Floats:
    """Tell how likely chance alone moves the level so far from the baseline, two-sided.

    Args:
        measured: The levels.
        dispersion: Variance over mean of weekly points in this fleet; it broadcasts.

    Source:
        McCullagh & Nelder (1989), 6.2: counts with variance proportional to the mean; their square
        root has a variance of about a quarter of the dispersion.
    """
    length = np.clip(measured.weeks_observed - BASELINE_GAP_WEEKS, 1, BASELINE_WEEKS)
    apart = np.sqrt(measured.points_now) - np.sqrt(measured.baseline_mean)
    spread = np.sqrt(np.maximum(dispersion, MIN_DISPERSION) / 4 * (1 / NOW_WEEKS + 1 / length))
    p_value: Floats = special.erfc(np.abs(apart) / spread / math.sqrt(2))
    return p_value


def trends_schema(keys: Sequence[str]) -> pl.Schema:
    """Give the columns of a trend frame, in order, for entities with these keys."""
    texts = {name: pl.String() for name in (*keys, "trend", "sentence")}
    counts = ("weeks_observed", "days_since_active", "active_day_count_14d")
    return pl.Schema(
        texts
        | {name: pl.Int64() for name in counts}
        | {name: pl.Float64() for name in NUMBERS}
        | {"is_default_model": pl.Boolean(), "as_of_date": pl.Date()}
    )


def score_trends(
    entities: pl.DataFrame, daily: pl.DataFrame, keys: Sequence[str], as_of: date
) -> pl.DataFrame:
    """Measure the trend of every entity as of one day.

    The fleet of an entity is everybody of the same score model in `entities` with a baseline.

    Args:
        entities: One row per entity: `keys` (score_model first), `is_default_model`,
            `observed_from` (date), `last_active_date` (date, or null).
        daily: `keys` or another column of `entities` that tells them apart, `age` (0 = the as-of
            date, 1 = the day before ...), `points`; days without points may be missing, points of
            one day may stand in several rows.
        keys: The names of the key columns.
        as_of: The last day.

    Returns:
        One row per entity, `trends_schema(keys)`, sorted by the keys; numbers rounded to 6 places,
        half away from zero.
    """
    ordered = entities.sort(*keys)
    shared = [name for name in daily.columns if name in ordered.columns]
    units = (
        daily.filter(pl.col("age").is_between(0, HISTORY_DAYS - 1))
        .join(ordered.select(*shared).with_row_index("place"), on=shared)
        .select(
            pl.col("place").cast(pl.Int64),
            pl.col("age").cast(pl.Int64),
            (pl.col("points").cast(pl.Float64) * UNITS_PER_POINT).round(0).cast(pl.Int64),
        )
        .sort("place")
    )
    observed = ordered.select(
        (((as_of - pl.col("observed_from")).dt.total_days() + 1) // WEEK_DAYS).clip(lower_bound=0)
    ).to_series()
    place, age, points = (units[name].to_numpy() for name in units.columns)
    weeks_observed = observed.to_numpy()
    measured = []
    for start in range(0, ordered.height, CHUNK_ENTITIES):
        weeks = weeks_observed[start : start + CHUNK_ENTITIES]
        own = slice(*np.searchsorted(place, (start, start + len(weeks))).tolist())
        days = np.zeros((len(weeks), HISTORY_DAYS), dtype=np.int64)
        np.add.at(days.ravel(), (place[own] - start) * HISTORY_DAYS + age[own], points[own])
        measured.append(_measure(days, weeks))
    schema = trends_schema(keys)
    if not measured:
        return schema.to_frame()
    return (
        _against_the_fleet(pl.concat([ordered, pl.concat(measured)], how="horizontal"))
        .with_columns(
            days_since_active=(as_of - pl.col("last_active_date")).dt.total_days(),
            as_of_date=pl.lit(as_of, dtype=pl.Date),
        )
        .with_columns(_sentence())
        .select(schema.names())
    )


def _measure(days: Ints, weeks_observed: Ints) -> pl.DataFrame:
    """Measure one chunk: units of shape (entities, 112), the youngest day first."""
    weekly = days.reshape(len(days), HISTORY_WEEKS, WEEK_DAYS).sum(axis=2)
    weeks = [weekly[:, age].astype(np.float64) for age in range(HISTORY_WEEKS)]
    measured = levels(weeks, weeks_observed)
    test = mann_kendall(weeks[:TREND_WEEKS], np.minimum(weeks_observed, TREND_WEEKS))
    shape = len(days)
    slope, low, high = (np.full(shape, np.nan) for _ in range(3))
    for count in range(MIN_TREND_WEEKS, TREND_WEEKS + 1):
        rows = np.flatnonzero(test.counts == count)
        if not len(rows):
            continue
        series = weekly[rows, :count][:, ::-1]
        slope[rows] = theil_sen(series, UNITS_PER_POINT)
        low[rows], high[rows] = slope_interval(series, test.variance[rows], UNITS_PER_POINT)
    p_value = rounded_ratio(test.p_value, 1)
    p_value[weeks_observed < MIN_TREND_WEEKS] = np.nan
    codes = directions(weeks, measured, test)
    return pl.DataFrame(
        {
            "trend": pl.Series([TRENDS[code] for code in codes.tolist()], dtype=pl.String),
            "weeks_observed": weeks_observed,
            "active_day_count_14d": (days[:, :RECENT_DAYS] > 0).sum(axis=1),
            "points_now": measured.points_now,
            "points_baseline": measured.points_baseline,
            "baseline_ratio": measured.baseline_ratio,
            "baseline_mean": measured.baseline_mean,
            "burstiness": measured.burstiness,
            "slope_points_per_week": slope,
            "slope_low_points_per_week": low,
            "slope_high_points_per_week": high,
            "slope_p_value": p_value,
            "robust_z": _robust_z(days, weeks_observed),
        },
        nan_to_null=True,
    )


def _robust_z(days: Ints, weeks_observed: Ints) -> Floats:
    """The as-of date against the same weekday of the weeks before, in robust deviations.

    nan with fewer than 4 such days, or where more than half of them are the same.

    Source:
        Iglewicz & Hoaglin (1993): 0.6745 (x - median) / MAD.
    """
    z = np.full(len(days), np.nan)
    same = days[:, WEEK_DAYS : (BASELINE_WEEKS + 1) * WEEK_DAYS : WEEK_DAYS]
    counts = np.clip(weeks_observed - 1, 0, BASELINE_WEEKS)
    for count in range(MIN_BASELINE_WEEKS, BASELINE_WEEKS + 1):
        rows = np.flatnonzero(counts == count)
        twice = _twice_median(same[rows, :count])
        deviations = np.abs(2 * same[rows, :count] - twice[:, None])
        z[rows] = rounded_ratio(
            MAD_TO_DEVIATION * 2 * (2 * days[rows, 0] - twice), _twice_median(deviations)
        )
    return z


def _against_the_fleet(rows: pl.DataFrame) -> pl.DataFrame:
    """Add what needs everybody: the fleet's ratio, the own one against it, and chance."""
    fleet = rows.with_columns(
        dispersion=pl.col("burstiness").median().over("score_model"),
        # what points_now and points_baseline were before they were rounded, as whole numbers
        now=(pl.col("points_now") * NOW_WEEKS * UNITS_PER_POINT).round() * 2,
        past=pl.when(pl.col("baseline_ratio").is_not_null()).then(
            (pl.col("points_baseline") * 2 * UNITS_PER_POINT).round() * NOW_WEEKS
        ),
    )
    fleet = fleet.join(_fleet_ratios(fleet), on="score_model", how="left", maintain_order="left")
    now, past, above, below = (
        fleet[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("now", "past", "above", "below")
    )
    measured = Levels(
        weeks_observed=fleet["weeks_observed"].to_numpy(),
        points_now=fleet["points_now"].to_numpy(),
        points_baseline=fleet["points_baseline"].to_numpy(),
        baseline_ratio=fleet["baseline_ratio"].to_numpy(),
        baseline_mean=fleet["baseline_mean"].to_numpy(),
        burstiness=fleet["burstiness"].to_numpy(),
    )
    chance = change_p_values(measured, fleet["dispersion"].fill_null(MIN_DISPERSION).to_numpy())
    rounded = pl.Series(rounded_ratio(chance, 1)).fill_nan(None)
    return fleet.with_columns(
        fleet_ratio=pl.Series(rounded_ratio(above, below)).fill_nan(None),
        relative_ratio=pl.Series(rounded_ratio(now * below, past * above)).fill_nan(None),
        change_p_value=rounded,
    )


def _fleet_ratios(rows: pl.DataFrame) -> pl.DataFrame:
    """By score model the median of now / past as a fraction in lowest terms: above / below."""
    found = []
    measured = rows.filter(pl.col("past").is_not_null())
    for (model,), entities in measured.group_by("score_model"):
        ratios = entities.select("now", "past").sort(pl.col("now") / pl.col("past"))
        middle = ratios[[(ratios.height - 1) // 2, ratios.height // 2]].rows()
        low, high = (Fraction(int(now), int(past)) for now, past in middle)
        median = (low + high) / 2
        found.append((model, float(median.numerator), float(median.denominator)))
    schema = {"score_model": pl.String, "above": pl.Float64, "below": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")


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
        .when((pl.col("trend") == "steady") & (pl.col("points_baseline") == 0))
        .then(pl.format("{} points a week; at least half of its own {} had none.", now, past))
        .when(pl.col("trend") == "steady")
        .then(pl.format("Steady at {} points a week.", now))
        .when(ratio.is_not_null())
        .then(against_past)
        .otherwise(without_past)
        .alias("sentence")
    )
