"""Trends: golden numbers of the contract, levels and directions worked by hand, and laws."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import stats

from orchestration.signals import trends
from orchestration.signals.trends import (
    MannKendall,
    mann_kendall,
    score_trends,
    slope_interval,
    theil_sen,
    trends_schema,
)

AS_OF = date(2026, 3, 31)
KEYS = ("score_model", "account_id")
GOLDEN = [80, 78, 81, 75, 70, 68, 64, 60]
GOLDEN_WITH_A_FALL = [*GOLDEN[:-1], 10]


def entities(weeks_observed: dict[str, int], spare_days: int = 0) -> pl.DataFrame:
    """Accounts of the default model, each seen first on the first day of so many whole weeks."""
    return pl.DataFrame(
        {
            "score_model": ["default"] * len(weeks_observed),
            "account_id": list(weeks_observed),
            "is_default_model": [True] * len(weeks_observed),
            "observed_from": [
                AS_OF - timedelta(days=7 * weeks - 1 + spare_days)
                for weeks in weeks_observed.values()
            ],
            "last_active_date": [AS_OF] * len(weeks_observed),
        },
        schema={
            "score_model": pl.String,
            "account_id": pl.String,
            "is_default_model": pl.Boolean,
            "observed_from": pl.Date,
            "last_active_date": pl.Date,
        },
    )


def weekly(points: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    """Weekly points, all on a week's last day, the oldest week first; the last ends as of."""
    rows = [
        ("default", account, 7 * (len(series) - 1 - place), float(value))
        for account, series in points.items()
        for place, value in enumerate(series)
        if value
    ]
    return pl.DataFrame(
        rows,
        schema={"score_model": pl.String, "account_id": pl.String, "age": int, "points": float},
        orient="row",
    )


def trend_of(series: Sequence[float], weeks_observed: int | None = None) -> dict[str, object]:
    """The one row of an account with this past."""
    observed = len(series) if weeks_observed is None else weeks_observed
    frame = score_trends(entities({"acme": observed}), weekly({"acme": series}), KEYS, AS_OF)
    return frame.row(0, named=True)


def rank_test(series: Sequence[float]) -> MannKendall:
    """The test of one series, the oldest week first."""
    weeks = [np.array([float(value)]) for value in reversed(series)]
    return mann_kendall(weeks, np.array([len(series)]))


def test_mann_kendall_of_the_golden_series() -> None:
    test = rank_test(GOLDEN)
    assert test.s.tolist() == [-24]
    assert test.variance[0] == pytest.approx(65.333, abs=5e-4)
    assert test.z[0] == pytest.approx(-2.8455, abs=5e-5)
    assert test.p_value[0] == pytest.approx(0.004434, abs=5e-7)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([9, 8, 7, 6, 5], 2 / 120),  # all pairs fall: one order of 120, and its mirror
        ([8, 9, 7, 6, 5], 10 / 120),  # one pair less: four orders more on each side
        ([2, 2, 2, 1, 1], 2 / 10),  # ten orders of three and two equals
        ([1, 1, 1, 1, 1], 1),
        ([1, 2, 3, 4, 5, 6, 7], 2 / 5040),
    ],
)
def test_p_value_of_a_short_series_is_exact(series: list[float], expected: float) -> None:
    assert rank_test(series).p_value[0] == pytest.approx(expected, abs=1e-12)


def test_only_the_weeks_that_count_are_tested() -> None:
    weeks = [np.array([float(value)] * 2) for value in (5, 6, 7, 8, 9, 0, 0, 0)]
    test = mann_kendall(weeks, np.array([5, 8]))
    assert test.s.tolist() == [-10, -10 + 15]  # five falling; then 15 pairs that rise from zero
    assert test.variance.tolist() == [50 / 3, (8 * 7 * 21 - 3 * 2 * 11) / 18]


def test_theil_sen_of_the_golden_series() -> None:
    slopes = theil_sen(np.array([GOLDEN, GOLDEN_WITH_A_FALL]), 1)
    assert slopes[0] == -3.0
    assert slopes[1] == pytest.approx(-3.583, abs=5e-4)


def test_golden_series_as_a_row() -> None:
    assert trend_of(GOLDEN) == {
        "score_model": "default",
        "account_id": "acme",
        "trend": "falling",
        "sentence": "Points fell 19 % against its own 4 weeks, from 79 to 64 a week; "
        "slope -3 a week over 8 weeks.",
        "weeks_observed": 8,
        "days_since_active": 0,
        "active_day_count_14d": 2,
        "points_now": 64.0,
        "points_baseline": 79.0,  # median of 80, 78, 81, 75
        "baseline_ratio": 0.810127,  # 64 / 79
        "fleet_ratio": 0.810127,  # it is the fleet
        "relative_ratio": 1.0,
        "slope_points_per_week": -3.0,
        "slope_low_points_per_week": -4.2,  # of 28 slopes the 6th and 23rd: 14 -+ 7.92
        "slope_high_points_per_week": -2.0,
        "slope_p_value": 0.004434,
        "change_p_value": 0.024318,  # z (8 - sqrt 78.5) / sqrt(1/4 (1/3 + 1/4))
        "robust_z": -2.0235,  # 60 against 64, 68, 70, 75, 78, 80, 81: 0.6745 * -15 / 5
        "is_default_model": True,
        "as_of_date": AS_OF,
    }


def test_slopes_are_rounded_once_from_exact_values() -> None:
    # Two weeks are one slope, 21 of 8,400,000: 0.0000025, which no float holds.
    assert theil_sen(np.array([[0, 21]]), 8_400_000).tolist() == [0.000003]
    low, high = slope_interval(np.array([[0, 21]]), np.array([1.0]), 8_400_000)
    assert (low.tolist(), high.tolist()) == ([0.000003], [0.000003])


def test_slope_looks_at_the_last_eight_weeks_only() -> None:
    row = trend_of([1, 900, 2, *GOLDEN_WITH_A_FALL])
    assert row["slope_points_per_week"] == -3.583333
    assert row["weeks_observed"] == 11


def test_tie_correction() -> None:
    # 3, 3, 3, 1, 1: six falling pairs; groups of three and two: (5*4*15 - 3*2*11 - 2*1*9) / 18.
    test = rank_test([3, 3, 3, 1, 1])
    assert test.s.tolist() == [-6]
    assert test.variance.tolist() == [12.0]
    assert test.z[0] == pytest.approx(-5 / 12**0.5)


@pytest.mark.parametrize("weeks", range(2, 9))
def test_agrees_with_scipy(weeks: int) -> None:
    series = np.random.default_rng(weeks).integers(0, 12, size=(200, weeks))
    slopes = theil_sen(series, 1)
    youngest_first = list(series.T[::-1].astype(float))
    tests = mann_kendall(youngest_first, np.full(len(series), weeks))
    lows, highs = slope_interval(series, tests.variance, 1)
    for row, values in enumerate(series):
        theirs = stats.theilslopes(values)
        assert slopes[row] == pytest.approx(theirs.slope, abs=1e-6)
        if len(set(values)) == weeks:  # theirs counts ties among the weeks' numbers too
            assert lows[row] == pytest.approx(theirs.low_slope, abs=1e-6)
            assert highs[row] == pytest.approx(theirs.high_slope, abs=1e-6)
        tau = stats.kendalltau(np.arange(weeks), values, variant="b").statistic
        pairs = weeks * (weeks - 1) / 2
        _, counts = np.unique(values, return_counts=True)
        untied = pairs - (counts * (counts - 1) / 2).sum()
        expected = 0.0 if untied == 0 else tau * (pairs * untied) ** 0.5
        assert tests.s[row] == pytest.approx(expected)


def test_p_value_agrees_with_scipy_on_long_series_without_ties() -> None:
    rng = np.random.default_rng(7)
    series = np.array([rng.permutation(60) for _ in range(20)])
    youngest_first = list(series.T[::-1].astype(float))
    p_values = mann_kendall(youngest_first, np.full(len(series), 60)).p_value
    for row, values in enumerate(series):
        asymptotic = stats.kendalltau(np.arange(60), values, method="asymptotic").pvalue
        assert p_values[row] == pytest.approx(asymptotic, abs=0.006)  # without continuity


def test_weeks_count_only_when_whole() -> None:
    frame = score_trends(entities({"acme": 5}, spare_days=6), weekly({}), KEYS, AS_OF)
    assert frame["weeks_observed"].to_list() == [5]
    frame = score_trends(entities({"acme": 5}, spare_days=-1), weekly({}), KEYS, AS_OF)
    assert frame["weeks_observed"].to_list() == [4]


def test_points_of_a_week_that_was_not_whole_do_not_count() -> None:
    # The half week before the first whole one would turn the series into a fall.
    row = trend_of([900, 10, 10, 10, 10, 10], weeks_observed=5)
    assert (row["trend"], row["slope_points_per_week"]) == ("steady", 0.0)


def test_baseline_is_the_median_of_the_twelve_weeks_before_the_last_four() -> None:
    past = [5, 5, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]  # the three oldest are too old
    row = trend_of([*past, 1000, 3, 3, 3])
    assert row["points_baseline"] == 6.5
    assert row["points_now"] == 3.0
    assert row["baseline_ratio"] == 0.461538


def test_silent_weeks_are_zeros_in_the_baseline() -> None:
    row = trend_of([0, 0, 0, 12, 0, 0, 0, 0, 4, 4, 4, 4])
    assert (row["points_baseline"], row["baseline_ratio"]) == (0.0, None)


def test_too_short_a_past_has_no_baseline() -> None:
    assert trend_of([4] * 8)["points_baseline"] == 4.0
    short = trend_of([4] * 7)
    assert (short["points_baseline"], short["baseline_ratio"]) == (None, None)


def test_no_level_below_three_weeks_and_no_slope_below_five() -> None:
    row = trend_of([9, 9])
    assert (row["points_now"], row["slope_points_per_week"]) == (None, None)
    assert row["trend"] == "not_enough_data"
    assert row["sentence"] == "2 whole weeks observed; a trend needs 5."
    row = trend_of([9, 8, 7, 6])
    assert (row["points_now"], row["slope_p_value"]) == (7.0, None)
    assert row["trend"] == "not_enough_data"
    # All ten pairs of five weeks fall: two orders of 120 are as clear.
    row = trend_of([9, 8, 7, 6, 5])
    assert (row["slope_points_per_week"], row["slope_p_value"]) == (-1.0, 0.016667)
    assert row["trend"] == "falling"
    assert row["sentence"] == "Points fell over 5 weeks, to 6 a week; slope -1 a week."


def test_seen_after_the_as_of_date_or_on_it() -> None:
    assert trend_of([], weeks_observed=0)["weeks_observed"] == 0
    frame = score_trends(entities({"acme": 0}, spare_days=-30), weekly({}), KEYS, AS_OF)
    assert frame["weeks_observed"].to_list() == [0]


def test_days_before_the_first_whole_week_count_nowhere() -> None:
    weeks = [9, 1, 4, 7, 2, 6, 3, 8]  # oldest first: a baseline of four, three for now
    first = score_trends(entities({"acme": 8}), weekly({"acme": weeks}), KEYS, AS_OF)
    seen_earlier = entities({"acme": 8}, spare_days=6)
    later = score_trends(seen_earlier, weekly({"acme": [500, *weeks]}), KEYS, AS_OF)

    assert first["change_p_value"][0] is not None
    assert_frame_equal(later.drop("sentence"), first.drop("sentence"))


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        # A significant slope with a level that hardly moved is noise in a steady account.
        ([100, 100, 100, 100, 99, 98, 97, 96], "steady"),
        ([100, 100, 100, 100, 95, 91, 90, 89], "falling"),  # 90 / 100 is the limit
        ([100, 100, 100, 100, 95, 91.1, 90, 89], "steady"),  # 90.0333
        ([100, 100, 100, 100, 105, 109, 110, 111], "rising"),
        ([100, 100, 100, 100, 105, 108.9, 110, 111], "steady"),
        # A break two weeks ago: p is 0.067, the level says it.
        ([100, 100, 100, 100, 100, 100, 25, 25], "falling"),  # 50 / 100 is the limit
        ([100, 100, 100, 100, 100, 100, 25, 25.3], "steady"),
        ([10, 10, 10, 10, 10, 10, 25, 25], "rising"),
        ([10, 10, 10, 10, 10, 10, 24.9, 24.9], "steady"),
        # Fell long ago and lies still: low against its past, but going nowhere.
        ([100] * 8 + [20] * 8, "steady"),
        # One quiet week, a holiday say.
        ([100] * 15 + [0], "steady"),
        # Silent for three weeks.
        ([100] * 13 + [0] * 3, "falling"),
        # Asleep for long, then back: the baseline is 0, the slope tells.
        ([0] * 12 + [0, 10, 20, 30], "rising"),
        ([0] * 16, "steady"),
        # Few weeks: a fall must be significant; two against three cannot be.
        ([100, 100, 30, 30, 30], "steady"),
        ([100, 99, 98, 97, 96], "steady"),
    ],
)
def test_direction(series: list[float], expected: str) -> None:
    assert trend_of(series)["trend"] == expected


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([45] * 16, "Steady at 45 points a week, against 45 over its own 12 weeks."),
        ([4.25] * 6, "Steady at 4.3 points a week."),
        ([0] * 16, "No points in the last 3 weeks."),
        ([0] * 15 + [600], "200 points a week; at least half of its own 12 weeks had none."),
        (
            [10] * 14 + [25, 25],
            (
                "Points rose 100 % against its own 12 weeks, from 10 to 20 a week; "
                "slope 0 a week over 8 weeks."
            ),
        ),
        (
            [1000] * 15 + [0],
            "Steady at 666.7 points a week, against 1000 over its own 12 weeks.",
        ),
    ],
)
def test_sentence(series: list[float], expected: str) -> None:
    assert trend_of(series)["sentence"] == expected


def test_numbers_are_rounded_half_away_from_zero() -> None:
    rounded = trends.rounded_ratio(np.array([5, -5, 15, -1]), 10_000_000)
    assert rounded.tolist() == [0.000001, -0.000001, 0.000002, 0]
    assert not np.signbit(rounded[3])


def test_users_are_keyed_by_account_and_user() -> None:
    keys = ("score_model", "account_id", "user_id")
    users = entities({"acme": 6, "beta": 6}).with_columns(user_id=pl.lit("ann"))
    points = weekly({"acme": [1] * 6, "beta": [2] * 6}).with_columns(user_id=pl.lit("ann"))
    frame = score_trends(users, points, keys, AS_OF)
    assert frame.schema == trends_schema(keys)
    assert frame.select("account_id", "user_id", "points_now").rows() == [
        ("acme", "ann", 1.0),
        ("beta", "ann", 2.0),
    ]


def test_the_fleet_is_everybody_of_the_model_with_a_baseline() -> None:
    pasts = {"half": [10] * 13 + [5] * 3, "same": [10] * 16, "third": [9] * 13 + [3] * 3}
    accounts = entities({**dict.fromkeys(pasts, 16), "young": 3})
    frame = score_trends(accounts, weekly(pasts), KEYS, AS_OF)
    assert frame.select("account_id", "baseline_ratio", "fleet_ratio", "relative_ratio").rows() == [
        ("half", 0.5, 0.5, 1.0),
        ("same", 1.0, 0.5, 2.0),
        ("third", 0.333333, 0.5, 0.666667),
        ("young", None, 0.5, None),
    ]


def test_ratios_of_the_fleet_are_rounded_once_from_exact_values() -> None:
    # 10/9 and 11/9 have the median 7/6; their rounded values would have 1.1666665.
    pasts = {"less": [9] * 13 + [10] * 3, "more": [9] * 13 + [11] * 3}
    frame = score_trends(entities(dict.fromkeys(pasts, 16)), weekly(pasts), KEYS, AS_OF)
    assert frame.select("fleet_ratio", "relative_ratio").rows() == [
        (1.166667, 0.952381),  # 20/21
        (1.166667, 1.047619),  # 22/21
    ]
    # 2/30,000 and 4/30,000 points a week, rounded 0.000067 and 0.000133
    pasts = {name: [9] * 13 + [points, 0, 0] for name, points in (("less", 2e-4), ("more", 4e-4))}
    frame = score_trends(entities(dict.fromkeys(pasts, 16)), weekly(pasts), KEYS, AS_OF)
    assert frame.select("fleet_ratio", "relative_ratio").rows() == [
        (0.000011, 0.666667),
        (0.000011, 1.333333),
    ]


def test_chance_depends_on_how_bursty_the_fleet_is() -> None:
    # Halved from 100 a week. A calm fleet: z = (sqrt 50 - sqrt 100) / sqrt(1/4 (1/3 + 1/12)).
    calm = {f"a{n}": [100] * 16 for n in range(4)} | {"half": [100] * 13 + [50] * 3}
    # Weeks of 0 and 200 by turns: variance 12 * 100² / 11 over a mean of 100.
    bursty = {f"a{n}": [0, 200] * 8 for n in range(4)} | {"half": [100] * 13 + [50] * 3}
    p_values = []
    for pasts in (calm, bursty):
        frame = score_trends(entities(dict.fromkeys(pasts, 16)), weekly(pasts), KEYS, AS_OF)
        p_values.append(frame.filter(pl.col("account_id") == "half")["change_p_value"].item())
    assert p_values[0] == 0.0
    assert p_values[1] == pytest.approx(0.3849, abs=1e-4)  # z 9.0751 / sqrt 109.09 = 0.869


def test_a_day_against_the_same_weekday() -> None:
    # The last day 10, the same weekday before 3, 4, 5, 6, 7: median 5, MAD 1.
    accounts = entities({"acme": 6})
    points = weekly({"acme": [7, 6, 5, 4, 3, 10]})
    frame = score_trends(accounts, points, KEYS, AS_OF)
    assert frame["robust_z"].to_list() == [3.3725]  # 0.6745 * 5


def test_recency() -> None:
    accounts = entities({"acme": 6, "beta": 6}).with_columns(
        last_active_date=pl.Series([AS_OF - timedelta(days=9), None], dtype=pl.Date)
    )
    points = pl.DataFrame(
        {
            "score_model": ["default"] * 3,
            "account_id": ["acme"] * 3,
            "age": [9, 13, 14],
            "points": [1.0] * 3,
        }
    )
    frame = score_trends(accounts, points, KEYS, AS_OF)
    assert frame["days_since_active"].to_list() == [9, None]
    assert frame["active_day_count_14d"].to_list() == [2, 0]


def test_models_do_not_mix_and_unknown_entities_are_left_out() -> None:
    accounts = pl.concat(
        [
            entities({"acme": 6}),
            entities({"acme": 6}).with_columns(
                score_model=pl.lit("weekly"), is_default_model=pl.lit(value=False)
            ),
        ]
    )
    points = pl.concat(
        [
            weekly({"acme": [1] * 6, "gone": [7] * 6}),
            weekly({"acme": [3] * 6}).with_columns(score_model=pl.lit("weekly")),
        ]
    )
    frame = score_trends(accounts, points, KEYS, AS_OF)
    assert frame.select("score_model", "points_now", "is_default_model").rows() == [
        ("default", 1.0, True),
        ("weekly", 3.0, False),
    ]


def test_nobody_gives_an_empty_table_with_all_columns() -> None:
    frame = score_trends(entities({}), weekly({}), KEYS, AS_OF)
    assert frame.is_empty()
    assert frame.schema == trends_schema(KEYS)


def test_decimals_are_taken_as_they_are() -> None:
    points = weekly({"acme": [0.1, 0.2, 0.3, 0.4, 0.5]})
    decimals = points.with_columns(pl.col("points").cast(pl.Decimal(38, 4)))
    accounts = entities({"acme": 5})
    assert_frame_equal(
        score_trends(accounts, points, KEYS, AS_OF), score_trends(accounts, decimals, KEYS, AS_OF)
    )
    assert score_trends(accounts, decimals, KEYS, AS_OF)["points_now"].to_list() == [0.4]


past_points = st.lists(st.integers(0, 500), min_size=0, max_size=18)
pasts = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), past_points, max_size=8)


@settings(max_examples=60, deadline=None)
@given(pasts=pasts, seed=st.integers(0, 1000))
def test_order_of_rows_changes_nothing(pasts: dict[str, list[int]], seed: int) -> None:
    accounts = entities({account: len(series) for account, series in pasts.items()})
    points = weekly(pasts)
    expected = score_trends(accounts, points, KEYS, AS_OF)
    shuffled = score_trends(
        accounts.sample(fraction=1, shuffle=True, seed=seed),
        points.sample(fraction=1, shuffle=True, seed=seed),
        KEYS,
        AS_OF,
    )
    assert_frame_equal(shuffled, expected, check_exact=True)


def test_size_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    pasts = {f"a{n:03d}": rng.integers(0, 30, rng.integers(0, 18)).tolist() for n in range(200)}
    accounts = entities({account: len(series) for account, series in pasts.items()})
    expected = score_trends(accounts, weekly(pasts), KEYS, AS_OF)
    monkeypatch.setattr(trends, "CHUNK_ENTITIES", 7)
    chunked = score_trends(accounts, weekly(pasts), KEYS, AS_OF)
    assert_frame_equal(chunked, expected, check_exact=True)


@settings(max_examples=60, deadline=None)
@given(value=st.integers(0, 10**9), weeks=st.integers(5, 30))
def test_a_constant_is_steady(value: int, weeks: int) -> None:
    row = trend_of([value / 10_000] * weeks)
    assert (row["trend"], row["slope_points_per_week"], row["slope_p_value"]) == ("steady", 0, 1)
    assert row["baseline_ratio"] == (1.0 if weeks >= 8 and value else None)


@settings(max_examples=60, deadline=None)
@given(series=st.lists(st.integers(0, 500), min_size=5, max_size=16), factor=st.integers(1, 100))
def test_scaling_the_points_scales_the_slope(series: list[int], factor: int) -> None:
    row, scaled = trend_of(series), trend_of([value * factor for value in series])
    for name in ("slope_points_per_week", "points_now", "points_baseline"):
        if row[name] is not None:
            assert scaled[name] == pytest.approx(row[name] * factor, abs=1e-6 * factor)  # type: ignore[operator]
    for name in ("trend", "slope_p_value", "baseline_ratio"):
        assert scaled[name] == row[name]


@settings(max_examples=60, deadline=None)
@given(series=st.lists(st.integers(0, 500), min_size=16, max_size=16), older=past_points)
def test_what_is_older_than_sixteen_weeks_changes_no_number(
    series: list[int], older: list[int]
) -> None:
    row, longer = trend_of(series), trend_of([*older, *series])
    assert longer["weeks_observed"] == 16 + len(older)
    assert row | {"weeks_observed": 0} == longer | {"weeks_observed": 0}
