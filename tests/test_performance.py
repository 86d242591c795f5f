"""The track record of a flag: every count by hand, and no merit where there is none."""

import numpy as np
import numpy.typing as npt
import pytest

from orchestration.signals.performance import (
    NO_OUTCOME,
    History,
    Performance,
    evaluate,
    next_outcomes,
)

Bools = npt.NDArray[np.bool_]


def judged(history: History, flagged: Bools, horizon: int = 28) -> Performance:
    return evaluate(history, {"flag": flagged}, horizons=[horizon])["flag"][0]


def course(
    rng: np.random.Generator, accounts: int, leaving_rate: float
) -> tuple[History, npt.NDArray[np.int64]]:
    """Like a presentation of a course: 12 checks, 14 days apart; some leave on a random day."""
    days = np.arange(42, 197, 14)
    leaves = np.where(rng.random(accounts) < leaving_rate, rng.integers(43, 240, accounts), 0)
    return history_of(leaves, days), leaves


def history_of(leaves: npt.NDArray[np.int64], days: npt.NDArray[np.int64]) -> History:
    rows = np.flatnonzero(leaves)
    return History(
        check_days=days,
        at_risk=(leaves[:, None] == 0) | (leaves[:, None] > days),
        next_outcome=next_outcomes(rows, leaves[rows], len(leaves), days),
        observed_until=260,
    )


def test_next_outcomes_are_strictly_later_and_the_earliest() -> None:
    found = next_outcomes(
        account=np.array([0, 0, 2]),
        day=np.array([30, 14, 7]),
        accounts=3,
        check_days=np.array([0, 7, 14, 21]),
    )
    none = NO_OUTCOME
    assert found.tolist() == [
        [14, 14, 30, 30],
        [none, none, none, none],
        [7, none, none, none],
    ]


def test_counts_of_four_accounts_by_hand() -> None:
    # Checks on days 0, 10, 20, 30; horizon 10; known until day 30: day 30 has no result yet.
    # A leaves on day 15, B on day 31 (after what counts), C and D stay.
    days = np.array([0, 10, 20, 30])
    history = History(
        check_days=days,
        at_risk=np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]], dtype=np.bool_),
        next_outcome=next_outcomes(np.array([0, 1]), np.array([15, 31]), 4, days),
        observed_until=30,
    )
    flagged = np.array([[0, 1, 1, 1], [0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 1]], dtype=np.bool_)
    result = judged(history, flagged, horizon=10)
    assert result.checked_count == 10  # A 2, B 3, C 3, D 2
    assert result.flagged_count == 3  # A day 10, B day 20, C day 0; D was not at risk on day 0
    assert result.outcome_count == 1  # A day 10; day 0 is 15 days ahead
    assert result.outcome_account_count == 1
    assert result.hit_count == 1
    assert result.precision == pytest.approx(1 / 3)
    assert result.recall == 1.0
    assert result.base_rate == 0.1
    assert result.median_lead_days == 5
    assert result.never_flagged_share == 0.5  # C was flagged, D not; B goes later, so is neither
    assert result.verdict == "not_enough_outcomes"
    assert result.lift is None
    assert result.lift_low is None
    assert result.lift_high is None


def test_lead_counts_from_the_first_flagged_check_within_the_horizon() -> None:
    history = history_of(np.array([100, 101, 0]), np.array([42, 56, 70, 84, 98]))
    flagged = np.array([[1, 0, 1, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=np.bool_)
    result = judged(history, flagged)
    # First account: day 42 is 58 days ahead, day 70 is 30; day 84 is the first within 28: 16 days.
    assert result.median_lead_days == 10  # of 16 and 3
    assert result.recall == 0.75


def test_lift_of_a_rule_that_knows_is_one_over_the_base_rate() -> None:
    history, _ = course(np.random.default_rng(1), accounts=800, leaving_rate=0.15)
    came = history.next_outcome <= history.check_days + 28
    result = judged(history, came)
    assert result.base_rate is not None
    assert result.lift == pytest.approx(1 / result.base_rate)
    assert result.precision == 1.0
    assert result.recall == 1.0
    assert result.never_flagged_share == 0.0
    assert result.verdict == "works"


def test_forty_nine_departures_claim_no_lift_and_fifty_do() -> None:
    days = np.arange(42, 197, 14)
    for leaving, verdict in ((49, "not_enough_outcomes"), (50, "works")):
        leaves = np.zeros(600, dtype=np.int64)
        leaves[:leaving] = 90
        history = history_of(leaves, days)
        came = history.next_outcome <= days + 28
        result = judged(history, came)
        assert result.outcome_count == 2 * leaving  # days 70 and 84
        assert result.verdict == verdict
        assert (result.lift is None) == (leaving < 50)


def test_same_input_in_any_order_gives_the_same_numbers() -> None:
    rng = np.random.default_rng(5)
    history, _ = course(rng, accounts=900, leaving_rate=0.15)
    flagged = rng.random(history.at_risk.shape) < 0.1
    order = rng.permutation(900)
    mixed = History(
        check_days=history.check_days,
        at_risk=history.at_risk[order],
        next_outcome=history.next_outcome[order],
        observed_until=history.observed_until,
    )
    assert evaluate(history, {"a": flagged}) == evaluate(mixed, {"a": flagged[order]})


def test_a_flag_without_flags_has_no_precision_and_no_lift() -> None:
    history, _ = course(np.random.default_rng(2), accounts=900, leaving_rate=0.2)
    result = judged(history, np.zeros(history.at_risk.shape, dtype=np.bool_))
    assert result.precision is None
    assert result.recall == 0.0
    assert result.lift is None
    assert result.median_lead_days is None
    assert result.verdict == "no_better_than_chance"


def test_a_flag_that_only_knows_the_season_does_not_work() -> None:
    # Everybody who leaves does so in one month, and the flag is up for half of all in that month.
    rng = np.random.default_rng(3)
    days = np.arange(42, 197, 14)
    leaves = np.where(rng.random(1000) < 0.15, rng.integers(127, 155, 1000), 0)
    history = history_of(leaves, days)
    flagged = (rng.random(1000) < 0.5)[:, None] & (days >= 112) & (days <= 140)
    result = judged(history, flagged)
    assert result.lift_low is not None
    assert result.lift_low > 2  # its lift is large, by the season alone
    assert result.verdict == "no_better_than_chance"


def fading(
    rng: np.random.Generator, leaves: npt.NDArray[np.int64], days: npt.NDArray[np.int64]
) -> dict[str, Bools]:
    """Flags with persistence: one that sees some departures come, and three that see nothing."""
    accounts = len(leaves)
    noise = np.repeat(rng.random((accounts, len(days) // 2)) < 0.12, 2, axis=1)
    ahead = (leaves[:, None] > days) & (leaves[:, None] <= days + 35)
    sees = (rng.random(accounts) < 0.4)[:, None] & ahead
    return {
        "sees": noise | sees,
        "noise": noise,
        "always": np.broadcast_to((rng.random(accounts) < 0.1)[:, None], noise.shape),
        "late": noise & (days >= 140),
    }


def test_shuffled_outcomes_leave_no_verdict_works() -> None:
    rng = np.random.default_rng(11)
    days = np.arange(42, 197, 14)
    history, leaves = course(rng, accounts=750, leaving_rate=0.16)
    flags = fading(rng, leaves, days)
    assert evaluate(history, flags)["sees"][0].verdict == "works"
    clean = 0
    for _ in range(20):
        shuffled = history_of(rng.permutation(leaves), days)
        results = evaluate(shuffled, flags)
        clean += all(one.verdict != "works" for each in results.values() for one in each)
    assert clean >= 19


def test_interval_covers_the_true_lift_as_often_as_it_says() -> None:
    # Flagged accounts leave three times as often as the others; a fifth of all is flagged.
    rng = np.random.default_rng(13)
    days = np.arange(42, 197, 14)

    def drawn(accounts: int) -> Performance:
        marked = rng.random(accounts) < 0.2
        leaving = rng.random(accounts) < np.where(marked, 0.36, 0.12)
        leaves = np.where(leaving, rng.integers(43, 240, accounts), 0)
        return judged(history_of(leaves, days), np.repeat(marked[:, None], len(days), axis=1))

    truth = drawn(200_000).lift
    assert truth is not None
    covered = 0
    for _ in range(100):
        result = drawn(1000)
        assert result.lift_low is not None
        assert result.lift_high is not None
        covered += result.lift_low <= truth <= result.lift_high
    assert covered >= 90
