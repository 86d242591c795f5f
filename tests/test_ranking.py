"""The ranking of who leaves next: measured by hand, never ahead of time, no better than it is."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from orchestration.signals import ranking
from orchestration.signals.features import (
    Activity,
    peer_totals,
    peers_calendar,
    recent_use,
)
from orchestration.signals.performance import NO_OUTCOME, History, next_outcomes
from orchestration.signals.ranking import (
    FEATURES,
    MIN_HISTORY_DAYS,
    Inputs,
    Measures,
    Model,
    against_peers,
    fit,
    forward_scores,
    is_worth_learning,
    judge,
    own_features,
    peer_means,
    places_of_day,
    rank_accounts,
    score_ranking,
    stable_folds,
    told_facts,
)

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def fleet(seed: int, accounts: int = 400, days: int = 420) -> tuple[Activity, Ints]:
    """Accounts of very different habits; two fifths fade for six weeks and then leave."""
    rng = np.random.default_rng(seed)
    habit = rng.uniform(0.1, 0.7, accounts)
    leaves = np.where(rng.random(accounts) < 0.4, rng.integers(120, days, accounts), 0)
    day = np.arange(days)
    fading = (leaves[:, None] > 0) & (day > leaves[:, None] - 42)
    chance = habit[:, None] * np.where(day % 7 < 5, 1.0, 0.3) * np.where(fading, 0.3, 1.0)
    gone = (leaves[:, None] > 0) & (day >= leaves[:, None])
    activity = Activity(
        active_users=(rng.random((accounts, days)) < chance) & ~gone,
        members=np.ones((accounts, days), dtype=np.int64),
        is_live=~gone,
        group=np.zeros((accounts, days), dtype=np.int64),
    )
    return activity, leaves


def studied(activity: Activity, leaves: Ints, every: int = 14) -> tuple[History, Measures, Inputs]:
    accounts, days = activity.active_users.shape
    checks = np.arange(70, days, every)
    rows = np.flatnonzero(leaves)
    history = History(
        check_days=checks,
        at_risk=(leaves[:, None] == 0) | (leaves[:, None] > checks),
        next_outcome=next_outcomes(rows, leaves[rows], accounts, checks),
        observed_until=days - 1,
    )
    calendar = peers_calendar([peer_totals(activity, 1)])
    shape = (accounts, len(checks))
    measures = Measures(
        use=recent_use(activity, calendar, checks),
        readiness=np.full(shape, np.nan),
        feature_count=np.ones(shape, dtype=np.int64),
        contract_days=np.broadcast_to(checks, shape),
        has_contract=np.ones(shape, dtype=np.bool_),
        group=np.zeros(shape, dtype=np.int64),
    )
    return history, measures, features_of(measures, history.at_risk)


def features_of(measures: Measures, at_risk: Bools) -> Inputs:
    peers = at_risk & (measures.use.history_days >= MIN_HISTORY_DAYS)
    return against_peers(own_features(measures), peers, measures.group)


def folds_of(accounts: int) -> Ints:
    return stable_folds([f"account-{number}" for number in range(accounts)])


def grades_of(risk: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.unique(-risk, return_inverse=True)[1]


def test_auc_and_top_decile_by_hand() -> None:
    # Ten checks, two outcomes. Pairs: the outcome at 9 beats all 8; the one at 5 beats five, shares
    # one (half) and loses to two: (8 + 5.5) / 16. The top tenth is the one check at 9: 1 of 2.
    risk = np.array([9, 8, 7, 5, 5, 4, 3, 2, 1, 0], dtype=float)
    outcome = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0], dtype=np.bool_)
    score = score_ranking(grades_of(risk), outcome, account=np.arange(10))
    assert score.auc == pytest.approx(13.5 / 16)
    assert score.lift == pytest.approx(5.0)
    assert score.recall == pytest.approx(0.5)
    assert score.precision == pytest.approx(1.0)


def test_a_tie_across_the_top_decile_counts_in_part() -> None:
    # Twenty checks: the top tenth is two; four share the top, one of them left: 2/4 of one outcome.
    risk = np.array([1] * 4 + [0] * 16, dtype=float)
    outcome = np.array([1] + [0] * 18 + [1], dtype=np.bool_)
    assert score_ranking(grades_of(risk), outcome, np.arange(20)).lift == pytest.approx(2.5)


def test_a_sample_of_accounts_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    account = np.repeat(np.arange(3000), 4)
    outcome = (account < 300) & (rng.random(12_000) < 0.5)
    risk = rng.normal(size=12_000) + outcome
    whole = score_ranking(grades_of(risk), outcome, account)
    monkeypatch.setattr(ranking, "MAX_SCORED_ACCOUNTS", 900)
    part = score_ranking(grades_of(risk), outcome, account)
    assert part.auc == whole.auc
    assert part.auc_low == pytest.approx(whole.auc_low, abs=0.02)
    assert part.lift_low == pytest.approx(whole.lift_low, abs=0.5)


def test_places_are_those_of_the_list_of_the_day() -> None:
    # First day: 3 above 1 above two equal ones; second day: two are ranked, however high the first.
    risk = np.array([[3.0, 70.0], [1.0, 90.0], [0.0, 80.0], [0.0, 5.0]])
    ranked = np.array([[True, True], [True, False], [True, True], [True, False]])
    nan = np.nan
    expected = [[7 / 8, 1 / 4], [5 / 8, nan], [2 / 8, 3 / 4], [2 / 8, nan]]
    assert np.array_equal(places_of_day(risk, ranked), expected, equal_nan=True)


def test_means_of_peers_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MIN_PEERS", 2)
    values = np.array([[1.0], [3.0], [8.0], [100.0]])
    peers = np.array([[True], [True], [True], [False]])
    group = np.array([[0], [0], [1], [1]])
    # Group 0 has two peers: 2. Group 1 has one, so the fleet's mean: 12 / 3.
    assert peer_means(values, peers, group).tolist() == [[2.0], [2.0], [4.0], [4.0]]


def test_folds_depend_on_the_id_alone() -> None:
    assert stable_folds(["b", "a"]).tolist() == stable_folds(["a", "b"]).tolist()[::-1]
    counts = np.bincount(folds_of(1000), minlength=5)
    assert counts.min() > 150


def test_a_model_that_knows_the_habit_beats_active_days() -> None:
    activity, leaves = fleet(seed=1)
    history, measures, features = studied(activity, leaves)
    scores = forward_scores(history, features, measures.use.history_days, folds_of(400))
    result = judge(history, scores, measures.use.active_days)
    assert result.method == "model"
    assert "beats active days" in result.why
    assert [(told.method, told.horizon_days) for told in result.performances] == [
        (method, horizon) for horizon in (28, 56, 90) for method in ("model", "active_days")
    ]
    for model, plain in zip(result.performances[::2], result.performances[1::2], strict=True):
        assert model.checked_count == plain.checked_count
        assert model.outcome_account_count == plain.outcome_account_count
        assert model.verdict == "works"
        assert model.score is not None
        assert plain.score is not None
        assert model.score.auc > plain.score.auc + 0.05
        assert model.score.auc_low < model.score.auc < model.score.auc_high
        assert model.score.lift_low < model.score.lift < model.score.lift_high
    # Nothing is scored before twenty accounts outside of a fold had left and been seen to.
    assert np.isnan(scores[:, :3]).all()


def test_few_departures_rank_by_active_days() -> None:
    activity, leaves = fleet(seed=2, accounts=40)
    history, measures, features = studied(activity, leaves)
    scores = forward_scores(history, features, measures.use.history_days, folds_of(40))
    assert np.isnan(scores).all()
    result = judge(history, scores, measures.use.active_days)
    assert result.method == "active_days"
    assert "0 departures" in result.why
    model, plain = result.performances[:2]
    assert (model.checked_count, model.score, model.verdict) == (0, None, "not_enough_outcomes")
    # Nobody was ranked by the model: active days are judged on every check.
    over = history.check_days + 28 <= 419
    assert plain.checked_count == history.at_risk[:, over].sum()
    assert fit(history, features, measures.use.history_days, day=419) is None


def test_fewer_than_fifty_departures_are_not_worth_learning_from() -> None:
    history = History(
        check_days=np.array([0, 7]),
        at_risk=np.ones((60, 2), dtype=np.bool_),
        next_outcome=np.where(np.arange(60)[:, None] < 50, [[28, 30]], NO_OUTCOME),
        observed_until=100,
    )
    assert is_worth_learning(history)
    # One of them leaves a day too late for both checks.
    late = history.next_outcome.copy()
    late[0] = 36
    assert not is_worth_learning(replace(history, next_outcome=late))
    # Another one could not leave any more.
    gone = history.at_risk.copy()
    gone[0] = False
    assert not is_worth_learning(replace(history, at_risk=gone))


def test_shuffled_departures_leave_the_model_unused() -> None:
    activity, leaves = fleet(seed=3)
    rng = np.random.default_rng(30)
    plain = 0
    for _ in range(20):
        history, measures, features = studied(activity, rng.permutation(leaves), every=28)
        scores = forward_scores(history, features, measures.use.history_days, folds_of(400))
        plain += judge(history, scores, measures.use.active_days).method == "active_days"
    assert plain >= 19


def test_scores_of_a_day_know_nothing_later() -> None:
    activity, leaves = fleet(seed=4)
    history, measures, features = studied(activity, leaves)
    folds = folds_of(400)
    scores = forward_scores(history, features, measures.use.history_days, folds)
    cut = 15
    today = int(history.check_days[cut - 1])
    known = replace(
        history,
        check_days=history.check_days[:cut],
        at_risk=history.at_risk[:, :cut],
        next_outcome=np.where(
            history.next_outcome[:, :cut] <= today, history.next_outcome[:, :cut], NO_OUTCOME
        ),
        observed_until=today,
    )
    then = forward_scores(known, features[:, :cut], measures.use.history_days[:, :cut], folds)
    assert not np.isnan(then[:, -1]).all()
    assert np.array_equal(then, scores[:, :cut], equal_nan=True)


def test_scores_of_an_account_know_nothing_of_itself() -> None:
    activity, leaves = fleet(seed=5)
    history, measures, features = studied(activity, leaves)
    folds = folds_of(400)
    scores = forward_scores(history, features, measures.use.history_days, folds)
    # The accounts of one fold are said to have left a day after every check.
    other = np.where((folds == 2)[:, None], history.check_days + 1, history.next_outcome)
    told = forward_scores(
        replace(history, next_outcome=other), features, measures.use.history_days, folds
    )
    # Who was scored may change, as more departures are known early; what was scored may not.
    own = (folds == 2)[:, None] & ~np.isnan(scores)
    assert np.array_equal(told[own], scores[own])
    others = (folds != 2)[:, None] & ~np.isnan(scores)
    assert not np.allclose(told[others], scores[others])


def test_rates_add_up_to_the_departures_seen() -> None:
    activity, leaves = fleet(seed=6)
    history, measures, features = studied(activity, leaves)
    model = fit(history, features, measures.use.history_days, day=419)
    assert model is not None
    assert model.slope > 0
    seen = (history.check_days + 28 <= 419) & history.at_risk
    left = seen & (history.next_outcome <= history.check_days + 28)
    score = model.contributions(features[seen].astype(np.float64)).sum(axis=1)
    rates = 1 / (1 + np.exp(-(model.offset + model.slope * score)))
    assert rates.sum() == pytest.approx(left.sum(), rel=0.02)


def test_a_sample_of_checks_teaches_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    activity, leaves = fleet(seed=9)
    history, measures, features = studied(activity, leaves)
    whole = fit(history, features, measures.use.history_days, day=419)
    monkeypatch.setattr(ranking, "MAX_FIT_ROWS", 1500)
    part = fit(history, features, measures.use.history_days, day=419)
    assert whole is not None
    assert part is not None
    assert not np.array_equal(part.coefficients, whole.coefficients)
    assert part.offset == pytest.approx(whole.offset, abs=0.3)
    assert part.coefficients[:3] == pytest.approx(whole.coefficients[:3], rel=0.5)


def test_no_feature_counts_the_wrong_way_round() -> None:
    activity, leaves = fleet(seed=7)
    history, measures, features = studied(activity, leaves)
    model = fit(history, features, measures.use.history_days, day=419)
    assert model is not None
    signs = np.array([feature.sign for feature in FEATURES])
    assert (model.coefficients * signs >= 0).all()
    assert (model.coefficients[:3] < 0).all()


def one_day() -> tuple[Measures, Inputs]:
    """Three accounts on the 200th day: one goes on, one stopped three weeks ago, one has left."""
    active = np.ones((3, 200), dtype=np.int64)
    active[1, -21:] = 0
    activity = Activity(
        active_users=active,
        members=np.ones((3, 200), dtype=np.int64),
        is_live=np.ones((3, 200), dtype=np.bool_),
        group=np.zeros((3, 200), dtype=np.int64),
    )
    calendar = np.full((1, 200), 1_000_000)
    measures = Measures(
        use=recent_use(activity, calendar, np.array([199])),
        readiness=np.array([[0.8], [0.2], [0.8]]),
        feature_count=np.array([[4], [1], [4]]),
        contract_days=np.array([[100], [100], [100]]),
        has_contract=np.array([[True], [True], [True]]),
        group=np.zeros((3, 1), dtype=np.int64),
    )
    return measures, features_of(measures, np.array([[True], [True], [False]]))


def test_ranks_rates_and_reasons_by_hand() -> None:
    measures, features = one_day()
    # Peers are the first two: readiness 0.8 and 0.2 have the mean 0.5.
    readiness = [feature.name for feature in FEATURES].index("readiness")
    assert features[:, 0, readiness].tolist() == pytest.approx([0.3, -0.3, 0.3])
    weights = np.zeros(len(FEATURES))
    weights[readiness] = -10.0
    weights[1] = -0.5
    model = Model(coefficients=weights, centre=np.zeros(len(FEATURES)), offset=-2.0, slope=1.0)
    result = rank_accounts(
        "model", model, told_facts(measures), features[:, 0], np.array([True, True, False])
    )
    assert result.rank.tolist() == [2, 1, 0]
    assert np.isnan(result.rate[2])
    # Account 2: use 7 of 28, (7 + 1) / (28 + 1); account 1: 1. Their mean is half the logarithm.
    change = np.log(8 / 29) / 2
    assert result.rate[1] == pytest.approx(1 / (1 + np.exp(2 - 3 + 0.5 * change)), abs=1e-6)
    assert result.reasons[0] == result.reasons[2] == ()
    first, second = result.reasons[1]
    assert first == "Readiness 20 %, where its peers have 50 % on average."
    assert second.startswith("7 active user-days in 28 days, where its habit and its peers'")
    assert second.endswith("led to expect 28.0.")


def reason(name: str, measures: Measures, features: Inputs) -> str:
    """What the only feature that counts says of the only account."""
    place = [feature.name for feature in FEATURES].index(name)
    weights = np.zeros(len(FEATURES))
    weights[place] = 1.0 if features[0, 0, place] > 0 else -1.0
    model = Model(coefficients=weights, centre=np.zeros(len(FEATURES)), offset=0.0, slope=1.0)
    at_risk = np.array([True])
    ranking = rank_accounts("model", model, told_facts(measures), features[:, 0], at_risk)
    return ranking.reasons[0][0]


def test_reasons_say_what_is_not_known() -> None:
    """A trial has no contract; without a step that applies there is no readiness."""
    activity = Activity(
        active_users=np.zeros((1, 40), dtype=np.int64),
        members=np.ones((1, 40), dtype=np.int64),
        is_live=np.ones((1, 40), dtype=np.bool_),
        group=np.zeros((1, 40), dtype=np.int64),
    )
    measures = Measures(
        use=recent_use(activity, np.full((1, 40), 1_000_000), np.array([39])),
        readiness=np.array([[np.nan]]),
        feature_count=np.array([[0]]),
        contract_days=np.array([[40]]),
        has_contract=np.array([[False]]),
        group=np.array([[0]]),
    )
    own = own_features(measures)
    peers = own.copy()
    peers[..., [feature.name for feature in FEATURES].index("readiness")] = 0.125
    peers[..., [feature.name for feature in FEATURES].index("breadth")] = 2.25
    against = np.where([feature.is_centred for feature in FEATURES], own - peers, own)
    against = against.astype(np.float32)

    assert reason("readiness", measures, against) == (
        "Readiness is not measured, where its peers have 13 % on average."
    )
    assert reason("contract_age", measures, against) == (
        "Day 40 since it was first seen, an age at which more accounts leave."
    )
    assert reason("breadth", measures, against) == (
        "0 features used in 28 days, where its peers use 2.3 on average."
    )
    assert reason("silence", measures, own) == "Never active."
    assert reason("level", measures, own) == (
        "0 active user-days in 28 days, where a typical peer of its size has 28.0."
    )


def test_active_days_rank_the_idle_first_and_share_ranks() -> None:
    measures, features = one_day()
    result = rank_accounts(
        "active_days", None, told_facts(measures), features[:, 0], np.ones(3, dtype=np.bool_)
    )
    assert result.rank.tolist() == [2, 1, 2]
    assert np.isnan(result.rate).all()
    assert result.reasons[1] == (
        "Active on 0 of the last 14 days.",
        "Last active 21 days ago.",
    )


def test_the_model_cannot_rank_without_being_there() -> None:
    measures, features = one_day()
    with pytest.raises(ValueError, match="no model was fitted"):
        rank_accounts(
            "model", None, told_facts(measures), features[:, 0], np.ones(3, dtype=np.bool_)
        )
