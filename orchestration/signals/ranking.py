"""Ranking: which accounts are most likely to leave next, and whether that ranking is any good.

What belongs here: the features of the model, fitting it on what had happened by then, judging it
forward in time against the ranking by active days, and the reasons of each account. What does not:
how use is measured (`features`), which days are checked, writing tables.

The model is a logistic regression on few features, each held against the account's peers of that
day. It is judged as it would have been used: fitted on checks whose horizon was over by then, and
on other accounts than the one it ranks. It is used only if it beats the ranking by active days on
that history; else that ranking is.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from orchestration.signals.features import MIN_PEERS, NEVER, WINDOWS, Use
from orchestration.signals.performance import HORIZONS, History, Verdict
from orchestration.signals.wording import days_ago

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Inputs = npt.NDArray[np.float32]
Method = Literal["model", "active_days"]

HORIZON = 28
"""Days within which the model learns to see an account leave; its rate is of these."""

LEARNS_WITH = "sklearn.linear_model"
"""Imported only where there is something to learn."""

MIN_LESSONS = 20
"""With fewer departed accounts to learn from there is no model."""

MIN_DEPARTURES = 30
"""With fewer departed accounts that it had not seen no ranking is judged."""

MIN_HISTORY_DAYS = 56
"""Younger accounts are ranked, but teach nothing: they have no habit yet."""

REFIT_DAYS = 28
"""How often the judged model learns anew."""

STRENGTH = 0.01
"""Inverse strength of the L2 penalty (`C`): weak evidence moves the coefficients little."""

UNPROVEN = 0.35
"""Spread of the features that have to prove themselves, against 1 of the changes of use.

A small spread makes a coefficient dear under the penalty, as a prior of that width would.
"""

FOLDS = 5
RESAMPLES = 300
CLASSES = 500
"""Intervals put scores into at most so many classes, of equally many checks each."""

MAX_FIT_ROWS = 20_000
"""Of more checks with or without a departure, a weighted sample is learned from."""

MAX_SCORED_ACCOUNTS = 3_000
"""Of more accounts that left or stayed, a weighted sample gives the (then wider) intervals."""

COIN = 0.5
"""The AUC of a ranking that knows nothing."""

SURE_DEVIATIONS = 2.576
"""An AUC is surely above a coin's when its 99 % interval is; more often than once in a hundred
times a model that knows nothing must not be used."""

TOP_SHARE = 0.1
SEED = 20_130_101


class Feature(NamedTuple):
    """One input of the model.

    Attributes:
        name: What it is called in stored reasons.
        spread: Its prior weight, 1 or `UNPROVEN`.
        sign: Which way it may move the risk: 1 up, -1 down, 0 either.
        is_centred: Whether the mean of the peers of that day is taken off.
    """

    name: str
    spread: float
    sign: int
    is_centred: bool


FEATURES = (
    Feature("change_14_days", 1.0, -1, is_centred=True),
    Feature("change_28_days", 1.0, -1, is_centred=True),
    Feature("change_56_days", 1.0, -1, is_centred=True),
    Feature("level", UNPROVEN, -1, is_centred=True),
    Feature("silence", UNPROVEN, 1, is_centred=True),
    Feature("readiness", UNPROVEN, -1, is_centred=True),
    Feature("breadth", UNPROVEN, -1, is_centred=True),
    Feature("contract_age", UNPROVEN, 0, is_centred=False),
)


@dataclass(frozen=True, slots=True)
class Measures:
    """What the model looks at, as it is; every array of shape (accounts, checks).

    Attributes:
        use: Recent use, measured on the days of the checks.
        readiness: `readiness_rate` of that day, nan where there is none.
        feature_count: Product features used in the 28 days up to the check.
        contract_days: Days since the contract started, or since the account was first seen.
        has_contract: Whether the contract's start is known, same shape.
        group: Peer group of that day, from 0.
    """

    use: Use
    readiness: Floats
    feature_count: npt.NDArray[np.integer]
    contract_days: npt.NDArray[np.integer]
    has_contract: Bools
    group: npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Score:
    """How good one ranking was, over all checks together.

    Attributes:
        auc: Chance that a check followed by a departure stands above one that was not; ties half.
        auc_low: Lower end of its 95 % interval, resampled by account.
        auc_high: Upper end.
        auc_deviation: Standard deviation of the AUC over the same resamples.
        precision: Share of the tenth ranked highest that were followed by a departure.
        recall: Share of the departures that are in that tenth.
        lift: precision over the share among all checks; recall over a tenth is the same.
        lift_low: Lower end of its 95 % interval.
        lift_high: Upper end.
    """

    auc: float
    auc_low: float
    auc_high: float
    auc_deviation: float
    precision: float
    recall: float
    lift: float
    lift_low: float
    lift_high: float


@dataclass(frozen=True, slots=True)
class RankingPerformance:
    """How one ranking did within one horizon.

    Attributes:
        method: Which ranking it is.
        horizon_days: Days within which a departure counts.
        checked_count: Checks judged, whose horizon is over.
        account_count: Accounts that were checked.
        outcome_count: Checks followed by a departure.
        outcome_account_count: Accounts that departed.
        score: How good it was; None with fewer than `MIN_DEPARTURES` departed accounts.
        verdict: `works` when the AUC is surely above that of a coin.
    """

    method: Method
    horizon_days: int
    checked_count: int
    account_count: int
    outcome_count: int
    outcome_account_count: int
    score: Score | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which ranking is used, and why.

    Attributes:
        method: The ranking that is used.
        why: In one sentence.
        performances: Of both rankings, on every horizon.
    """

    method: Method
    why: str
    performances: list[RankingPerformance]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranking of one day.

    Attributes:
        method: Which ranking it is.
        rate: Estimated chance to leave within the horizon, nan without a model or not at risk.
        rank: 1 for the most at risk, equal ones share; 0 for accounts not at risk.
        reasons: Per account up to two sentences, the stronger first.
    """

    method: Method
    rate: Floats
    rank: Ints
    reasons: list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted model.

    Attributes:
        coefficients: One per feature.
        centre: Mean features of the checks it learned from; a score of 0 is theirs.
        offset: The rate of a score is logistic(offset + slope x score).
        slope: At least 0.
    """

    coefficients: Floats
    centre: Floats
    offset: float
    slope: float

    def contributions(self, features: Floats) -> Floats:
        """Give what each feature adds to the score, for features of shape (accounts, features)."""
        return (features - self.centre) * self.coefficients


def stable_folds(account_ids: Sequence[str]) -> Ints:
    """Deal accounts into `FOLDS` groups by their id alone, so that newcomers move nobody."""
    return np.array([zlib.crc32(key.encode()) % FOLDS for key in account_ids], dtype=np.int64)


def own_features(measures: Measures) -> Inputs:
    """Turn measures into the model's features, not yet held against the peers.

    Args:
        measures: Of some or all accounts.

    Returns:
        Shape (accounts, checks, features), in the order of `FEATURES`. Log ratios have one active
        user-day added above and below, so that silence stays finite.
    """
    inputs = np.zeros((*measures.group.shape, len(FEATURES)), dtype=np.float32)
    for place, feature in enumerate(FEATURES):
        inputs[:, :, place] = _own(feature.name, measures)
    return inputs


def against_peers(own: Inputs, peers: Bools, group: npt.NDArray[np.integer]) -> Inputs:
    """Hold features against the peers of the same check.

    Args:
        own: From `own_features`, of the whole fleet.
        peers: Who counts as a peer, shape (accounts, checks).
        group: Peer group, same shape.

    Returns:
        Same shape as `own`; the features that `is_centred` names without their peers' mean.
    """
    inputs = own.copy()
    for place, feature in enumerate(FEATURES):
        if feature.is_centred:
            inputs[:, :, place] -= peer_means(own[:, :, place], peers, group)
    return inputs


def _own(name: str, measures: Measures) -> Floats:
    use = measures.use
    values: Floats
    match name:
        case "change_14_days" | "change_28_days" | "change_56_days":
            days = int(name.split("_")[1])
            values = np.log((use.used[days] + 1) / (use.expected[days] + 1))
        case "level":
            values = np.log((use.used[28] + 1) / (use.peers[28] + 1))
        case "silence":
            values = np.log1p(np.minimum(use.habit * use.silent_peer_days, HORIZON))
        case "readiness":
            values = np.nan_to_num(measures.readiness)
        case "breadth":
            values = measures.feature_count.astype(np.float64)
        case _:
            values = np.log1p(np.maximum(measures.contract_days, 0) / HORIZON)
    return values


def peer_means(values: Floats | Inputs, peers: Bools, group: npt.NDArray[np.integer]) -> Floats:
    """Give every cell the mean of its peers: its group if large enough, else the fleet.

    Args:
        values: Shape (accounts, checks).
        peers: Which cells make up the means, same shape.
        group: Peer group of each cell, same shape.

    Returns:
        Means, same shape; 0 on checks without peers.
    """
    checks = values.shape[1]
    groups = int(group.max(initial=0)) + 1
    cell = group.astype(np.int64) * checks + np.arange(checks)
    totals, counts = (
        np.bincount(cell[peers], weights=weights, minlength=groups * checks).reshape(groups, -1)
        for weights in (values[peers], None)
    )
    fleet = totals.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    means = np.where(counts >= MIN_PEERS, totals / np.maximum(counts, 1), fleet)
    spread: Floats = means.reshape(-1)[cell]
    return spread


def is_worth_learning(history: History) -> bool:
    """Tell whether enough accounts left for a model to learn from some and be judged on others."""
    left = history.at_risk & (history.next_outcome <= history.check_days + HORIZON)
    return int(left.any(axis=1).sum()) >= MIN_LESSONS + MIN_DEPARTURES


def forward_scores(
    history: History, features: Inputs, history_days: npt.NDArray[np.integer], folds: Ints
) -> Floats:
    """Score every check by a model that knew neither its account nor anything later.

    Args:
        history: Checks, risk set and departures.
        features: From `against_peers`.
        history_days: Days since the first activity, shape (accounts, checks).
        folds: From `stable_folds`, shape (accounts,).

    Returns:
        Scores of shape (accounts, checks), higher is riskier, comparable between checks; nan out of
        the risk set and where there was not enough to learn from.
    """
    scores = np.full(history.at_risk.shape, np.nan)
    models: list[Model] = []
    refit_from = int(history.check_days[0]) if len(history.check_days) else 0
    for check, day in enumerate(history.check_days.tolist()):
        if day >= refit_from:
            models = _fit_folds(history, features, history_days, folds, day)
            refit_from = day + REFIT_DAYS if models else day
        for fold, model in enumerate(models):
            rows = history.at_risk[:, check] & (folds == fold)
            inputs = features[rows, check].astype(np.float64)
            scores[rows, check] = model.contributions(inputs).sum(axis=1)
    return scores


def _fit_folds(
    history: History,
    features: Inputs,
    history_days: npt.NDArray[np.integer],
    folds: Ints,
    day: int,
) -> list[Model]:
    """Fit one model per fold without its accounts; none if any of them would know too little."""
    known = _lessons(history, features, history_days, day)
    lessons = [known.of(folds[known.account] != fold) for fold in range(FOLDS)]
    if any(lesson.departures < MIN_LESSONS for lesson in lessons):
        return []
    models = []
    for lesson in lessons:
        coefficients = _coefficients(lesson)
        # Scores of different fits must be comparable: one length, whatever the penalty left of it.
        length = float(np.abs(coefficients).sum()) or 1.0
        models.append(Model(coefficients / length, _centre(lesson), 0.0, 1.0))
    return models


def fit(
    history: History, features: Inputs, history_days: npt.NDArray[np.integer], day: int
) -> Model | None:
    """Fit the model on checks whose horizon was over by a day.

    Args:
        history: Checks, risk set and departures.
        features: From `against_peers`.
        history_days: Days since the first activity, shape (accounts, checks).
        day: What had not happened by the end of this day is not known.

    Returns:
        The model; None with fewer than `MIN_LESSONS` departed accounts.

    Source:
        L2-penalised logistic regression (Hastie, Tibshirani & Friedman 2009, ch. 4.4); the rate is
        a second, unpenalised one on its score, which undoes the shrinkage (Platt 1999).
    """
    lesson = _lessons(history, features, history_days, day)
    if lesson.departures < MIN_LESSONS:
        return None
    coefficients, centre = _coefficients(lesson), _centre(lesson)
    score = (lesson.inputs - centre) @ coefficients
    unit = float(score.std()) or 1.0
    slope, offset = _logistic((score / unit)[:, None], lesson, strength=1e6)
    # A score that ranks the wrong way round is no score: then everybody has the base rate.
    return Model(coefficients, centre, offset, max(float(slope[0]) / unit, 0.0))


@dataclass(frozen=True, slots=True)
class _Lessons:
    """Checks to learn from, one row each; of very many, a weighted sample."""

    inputs: Floats
    account: Ints
    left: Bools
    weight: Floats

    @property
    def departures(self) -> int:
        return len(np.unique(self.account[self.left]))

    def of(self, rows: Bools) -> "_Lessons":
        return _Lessons(self.inputs[rows], self.account[rows], self.left[rows], self.weight[rows])


def _lessons(
    history: History, features: Inputs, history_days: npt.NDArray[np.integer], day: int
) -> _Lessons:
    over = history.check_days + HORIZON <= min(day, history.observed_until)
    known = history.at_risk[:, over] & (history_days[:, over] >= MIN_HISTORY_DAYS)
    left = known & (history.next_outcome[:, over] <= history.check_days[over] + HORIZON)
    rng = np.random.default_rng(SEED)
    leaving, staying = (
        _sample(np.flatnonzero(cells), MAX_FIT_ROWS, rng) for cells in (left, known & ~left)
    )
    account, check = np.divmod(np.concatenate([leaving[0], staying[0]]), known.shape[1])
    return _Lessons(
        inputs=features[account, np.flatnonzero(over)[check]].astype(np.float64),
        account=account,
        left=np.arange(len(account)) < len(leaving[0]),
        weight=np.concatenate([leaving[1], staying[1]]),
    )


def _sample(cells: Ints, most: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Keep at most so many, in order, each with the weight of those that it stands for."""
    if len(cells) <= most:
        return cells, np.ones(len(cells))
    kept = np.sort(rng.choice(cells, most, replace=False))
    return kept, np.full(most, len(cells) / most)


def _centre(lesson: _Lessons) -> Floats:
    centre: Floats = np.average(lesson.inputs, axis=0, weights=lesson.weight)
    return centre


def _coefficients(lesson: _Lessons) -> Floats:
    """Fit the penalised model, with every feature scaled to its prior spread.

    A feature that would count the wrong way round (more use, more risk) only mends what others
    overdo; it is left out, so that every reason can be said.
    """
    sign = np.array([feature.sign for feature in FEATURES])
    spread = np.array([feature.spread for feature in FEATURES])
    deviation = lesson.inputs.std(axis=0)
    scale = np.divide(spread, deviation, out=np.zeros(len(spread)), where=deviation > 0)
    while scale.any():
        coefficients, _ = _logistic(lesson.inputs * scale, lesson, strength=STRENGTH)
        is_wrong = coefficients * sign < 0
        if not is_wrong.any():
            return np.asarray(coefficients * scale, dtype=np.float64)
        scale[is_wrong] = 0.0
    return np.zeros(len(spread))


def _logistic(inputs: Floats, lesson: _Lessons, strength: float) -> tuple[Floats, float]:
    # Imported late: a second that only a history with departures is worth.
    learns_with = import_module(LEARNS_WITH)
    # Few features, many rows: a handful of exact steps.
    model = learns_with.LogisticRegression(C=strength, solver="newton-cholesky")
    model.fit(inputs, lesson.left, sample_weight=lesson.weight)
    # Rounded, so that the last digits, which depend on the processor, move no rank.
    return np.round(model.coef_[0].astype(np.float64), 9), round(float(model.intercept_[0]), 9)


def judge(
    history: History,
    scores: Floats,
    active_days: npt.NDArray[np.integer],
    horizons: Sequence[int] = HORIZONS,
) -> Judgement:
    """Compare the model with the ranking by active days, on the checks that both could rank.

    Where the model could rank none, the ranking by active days is judged on all checks.

    Args:
        history: Checks, risk set and departures.
        scores: From `forward_scores`.
        active_days: Active days among the last 14, shape (accounts, checks).
        horizons: In days; `HORIZON` among them, by which one is chosen.

    Returns:
        How good both were, by the places in the list of each day. The model is used, if within
        `HORIZON` its AUC and its top decile are both better and its AUC is surely above that of a
        coin.
    """
    ranked = history.at_risk & ~np.isnan(scores)
    compared = ranked if ranked.any() else history.at_risk
    model_places = places_of_day(scores, ranked)
    plain_places = places_of_day(-active_days.astype(np.float64), compared)
    # Sorted once for all horizons.
    model_grades, plain_grades = _grades(model_places, ranked), _grades(plain_places, compared)
    performances = []
    for horizon in horizons:
        performances += [
            _judge("model", history, model_grades, ranked, horizon),
            _judge("active_days", history, plain_grades, compared, horizon),
        ]
    model, other = (result for result in performances if result.horizon_days == HORIZON)
    method, why = _choose(model, other)
    return Judgement(method=method, why=why, performances=performances)


def places_of_day(risk: Floats, ranked: Bools) -> Floats:
    """Give every account its place in the list of its day, which is how a ranking is read.

    So nothing is won by knowing the seasons in which many leave.

    Args:
        risk: Higher is riskier, shape (accounts, checks).
        ranked: Who is in the list, same shape.

    Returns:
        Share of the day's list that is safer, equal ones half; nan where not ranked. Same shape.
    """
    places = np.full(risk.shape, np.nan)
    for check in np.flatnonzero(ranked.any(axis=0)).tolist():
        rows = ranked[:, check]
        values = risk[rows, check]
        safest = np.sort(values)
        below = np.searchsorted(safest, values, side="left")
        upto = np.searchsorted(safest, values, side="right")
        places[rows, check] = (below + upto) / (2 * len(values))
    return places


def _choose(model: RankingPerformance, other: RankingPerformance) -> tuple[Method, str]:
    if model.score is None or other.score is None:
        return "active_days", (
            f"Ranked by active days: {_many(model.outcome_account_count, 'departure')} could be "
            f"predicted from earlier ones, and a model is trusted from {MIN_DEPARTURES} on."
        )
    is_better = model.score.auc > other.score.auc and model.score.lift > other.score.lift
    numbers = (
        f"AUC {model.score.auc:.3f} against {other.score.auc:.3f}, top decile "
        f"{model.score.lift:.2f} against {other.score.lift:.2f}, on "
        f"{model.outcome_account_count} departures it had not seen."
    )
    if is_better and model.verdict == "works":
        return "model", f"Ranked by the model, which beats active days: {numbers}"
    return "active_days", (
        f"Ranked by active days, which the model does not clearly beat: {numbers}"
    )


def _grades(risk: Floats, ranked: Bools) -> Ints:
    """Number the different risks of those who are ranked, 0 for the highest."""
    grades = np.zeros(risk.shape, dtype=np.int64)
    grades[ranked] = np.unique(-risk[ranked], return_inverse=True)[1]
    return grades


def _judge(
    method: Method, history: History, grades: Ints, ranked: Bools, horizon: int
) -> RankingPerformance:
    over = history.check_days + horizon <= history.observed_until
    judged = ranked & over
    left = judged & (history.next_outcome <= history.check_days + horizon)
    checked, outcomes = int(judged.sum()), int(left.sum())
    departed = int(left.any(axis=1).sum())
    score = None
    verdict: Verdict = "not_enough_outcomes"
    if departed >= MIN_DEPARTURES and outcomes < checked:
        score = score_ranking(grades[judged], left[judged], np.nonzero(judged)[0])
        is_sure = score.auc - COIN > SURE_DEVIATIONS * score.auc_deviation
        verdict = "works" if is_sure else "no_better_than_chance"
    return RankingPerformance(
        method=method,
        horizon_days=horizon,
        checked_count=checked,
        account_count=int(judged.any(axis=1).sum()),
        outcome_count=outcomes,
        outcome_account_count=departed,
        score=score,
        verdict=verdict,
    )


def score_ranking(grade: Ints, outcome: Bools, account: npt.NDArray[np.integer]) -> Score:
    """Measure a ranking over checks.

    Args:
        grade: 0 for the highest risk, shape (checks,); not every grade needs to occur.
        outcome: Whether the account left within the horizon, at least one and not all.
        account: Account number of each check; intervals resample accounts.

    Returns:
        AUC and top decile with their 95 % intervals.

    Source:
        AUC as Mann-Whitney statistic with ties half (Hanley & McNeil 1982); Poisson bootstrap over
        clusters (Chamandy et al. 2012); of very many accounts a sample stands for all.
    """
    occurs = np.bincount(grade) > 0
    safest = (np.cumsum(occurs) - 1)[grade]
    everyone = np.bincount(safest).astype(np.float64)
    left = np.bincount(safest, weights=outcome.astype(np.float64)).astype(np.float64)
    auc, recall = _measure(everyone[None], left[None])
    rng = np.random.default_rng(SEED)
    departing = np.unique(account[outcome])
    stays = np.bincount(account) > 0
    stays[departing] = False
    staying = np.flatnonzero(stays)
    sampled = [
        _sample(kind.astype(np.int64), MAX_SCORED_ACCOUNTS, rng) for kind in (departing, staying)
    ]
    kept, weight = (np.concatenate(parts) for parts in zip(*sampled, strict=True))
    row = np.full(int(account.max()) + 1, -1)
    row[kept] = np.arange(len(kept))
    rows = row[account] >= 0
    grade = safest[rows]
    if len(everyone) > CLASSES:
        riskier = np.cumsum(everyone) - everyone
        grade = (riskier[grade] * CLASSES / len(account)).astype(np.int64)
    classes = int(grade.max()) + 1
    cell = row[account[rows]] * classes + grade
    times = rng.poisson(1.0, (RESAMPLES, len(kept))) * weight
    drawn = _measure(
        *(
            times @ np.bincount(cell, weights, len(kept) * classes).reshape(len(kept), classes)
            for weights in (np.ones(len(cell)), outcome[rows].astype(np.float64))
        )
    )
    (auc_low, auc_high), (recall_low, recall_high) = (
        np.nanpercentile(values, [2.5, 97.5]).tolist() for values in drawn
    )
    return Score(
        auc=float(auc[0]),
        auc_low=auc_low,
        auc_high=auc_high,
        auc_deviation=float(np.nanstd(drawn[0])),
        precision=float(recall[0]) * int(outcome.sum()) / (TOP_SHARE * len(account)),
        recall=float(recall[0]),
        lift=float(recall[0]) / TOP_SHARE,
        lift_low=recall_low / TOP_SHARE,
        lift_high=recall_high / TOP_SHARE,
    )


def _measure(everyone: Floats, left: Floats) -> tuple[Floats, Floats]:
    """AUC and the top decile's recall of counts per class of equal risk, the riskiest first.

    Args:
        everyone: Weighted checks, shape (draws, classes).
        left: Of them, followed by a departure, same shape.

    Returns:
        Both of shape (draws,), nan where nobody left or nobody stayed.
    """
    stayed = everyone - left
    above = np.cumsum(left, axis=1) - left
    pairs = left.sum(axis=1) * stayed.sum(axis=1)
    won = (stayed * (above + left / 2)).sum(axis=1)
    room = TOP_SHARE * everyone.sum(axis=1, keepdims=True) - (
        np.cumsum(everyone, axis=1) - everyone
    )
    # A class that the tenth cuts counts in part.
    taken = np.clip(np.divide(room, everyone, out=np.zeros_like(room), where=everyone > 0), 0, 1)
    valid = pairs > 0
    return (
        np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=valid),
        np.divide(
            (taken * left).sum(axis=1),
            left.sum(axis=1),
            out=np.full(len(pairs), np.nan),
            where=valid,
        ),
    )


def told_facts(measures: Measures) -> pl.DataFrame:
    """Keep what reasons tell: the measures of the last check, one row per account."""
    use = measures.use
    columns = {
        **{f"used_{days}": use.used[days] for days in WINDOWS},
        **{f"expected_{days}": use.expected[days] for days in WINDOWS},
        "peers_28": use.peers[28],
        "silent_days": use.silent_days,
        "expected_in_silence": use.habit * use.silent_peer_days,
        "active_days": use.active_days,
        "readiness": measures.readiness,
        "feature_count": measures.feature_count.astype(np.int64),
        "contract_days": measures.contract_days.astype(np.int64),
        "has_contract": measures.has_contract,
    }
    # Copied: a view of the last day would keep all days.
    return pl.DataFrame(
        {name: values[:, -1].copy() for name, values in columns.items()}, nan_to_null=True
    )


def rank_accounts(
    method: Method, model: Model | None, facts: pl.DataFrame, features: Inputs, at_risk: Bools
) -> Ranking:
    """Rank the accounts on one day.

    Args:
        method: From `judge`.
        model: From `fit` on all accounts; needed for the method `model`.
        facts: Of that day, from `told_facts`.
        features: Of that day, from `against_peers`, shape (accounts, features).
        at_risk: Who is ranked, shape (accounts,).

    Returns:
        Rate, rank and reasons.

    Raises:
        ValueError: The method is `model`, but there is none.
    """
    rate = np.full(len(at_risk), np.nan)
    rank = np.zeros(len(at_risk), dtype=np.int64)
    if method == "model":
        if model is None:
            raise ValueError("the method is 'model', but no model was fitted")
        inputs = features.astype(np.float64)
        contributions = model.contributions(inputs)
        risk = np.round(contributions.sum(axis=1), 9)
        chance = 1 / (1 + np.exp(-(model.offset + model.slope * risk)))
        rate[at_risk] = np.round(chance[at_risk], 6)
        reasons = _model_reasons(facts, inputs, contributions, at_risk)
    else:
        risk = -facts["active_days"].to_numpy().astype(np.float64)
        reasons = _plain_reasons(facts, at_risk)
    safest = np.sort(-risk[at_risk])
    rank[at_risk] = np.searchsorted(safest, -risk[at_risk], side="left") + 1
    return Ranking(method=method, rate=rate, rank=rank, reasons=reasons)


def _model_reasons(
    facts: pl.DataFrame, features: Floats, contributions: Floats, at_risk: Bools
) -> list[tuple[str, ...]]:
    """Tell the two things that add most to the risk of each account; none that lower it.

    The changes of use are one thing, told by the window that says most; where nothing else adds,
    the next window comes second.
    """
    changes = [place for place, feature in enumerate(FEATURES) if feature.spread == 1]
    others = [place for place in range(len(FEATURES)) if place not in changes]
    windows = np.array(changes)[np.argsort(-contributions[:, changes], axis=1, kind="stable")]
    adds = np.column_stack([contributions[:, changes].sum(axis=1), contributions[:, others]])
    strongest = np.argsort(-adds, axis=1, kind="stable")[:, :2]
    said: list[tuple[str, ...]] = []
    for account, (fact, ranked) in enumerate(
        zip(facts.iter_rows(named=True), at_risk.tolist(), strict=True)
    ):
        things = strongest[account] if ranked else []
        told = [
            windows[account, 0] if thing == 0 else others[thing - 1]
            for thing in things
            if adds[account, thing] > 0
        ]
        if len(told) == 1 and contributions[account, windows[account, 1]] > 0:
            told.append(windows[account, 1])
        said.append(
            tuple(
                _sentence(FEATURES[place].name, fact, float(features[account, place]))
                for place in told
            )
        )
    return said


def _plain_reasons(facts: pl.DataFrame, at_risk: Bools) -> list[tuple[str, ...]]:
    silent = pl.col("silent_days")
    told = facts.select(
        pl.format("Active on {} of the last 14 days.", "active_days"),
        pl.when(silent == NEVER)
        .then(pl.lit("Never active."))
        .otherwise(pl.format("Last active {}.", days_ago(silent)))
        .alias("last_active"),
    ).rows()
    return [said if ranked else () for said, ranked in zip(told, at_risk.tolist(), strict=True)]


def _sentence(name: str, fact: Mapping[str, Any], feature: float) -> str:
    """Say what a feature says about an account, with its numbers.

    Args:
        name: Of the feature.
        fact: A row of `told_facts`.
        feature: The feature's value; what it is less its peers', where they are taken off.
    """
    if name == "silence" and fact["silent_days"] == NEVER:
        return "Never active."
    match name:
        case "change_14_days" | "change_28_days" | "change_56_days":
            days = int(name.split("_")[1])
            said = (
                f"{_many(fact[f'used_{days}'], 'active user-day')} in {days} days, where its habit "
                f"and its peers' calendar led to expect {_tenths(fact[f'expected_{days}'])}."
            )
        case "level":
            said = (
                f"{_many(fact['used_28'], 'active user-day')} in 28 days, where a typical peer of "
                f"its size has {_tenths(fact['peers_28'])}."
            )
        case "silence":
            said = (
                f"Silent for {_many(fact['silent_days'], 'day')}, in which "
                f"{_tenths(fact['expected_in_silence'])} user-days were to be expected."
            )
        case "readiness":
            own = fact["readiness"]
            said = (
                f"Readiness {'is not measured' if own is None else _percent(own)}, where its peers "
                f"have {_percent((own or 0) - feature)} on average."
            )
        case "breadth":
            said = (
                f"{_many(fact['feature_count'], 'feature')} used in 28 days, where its peers use "
                f"{_tenths(fact['feature_count'] - feature)} on average."
            )
        case _:
            since = "of the contract" if fact["has_contract"] else "since it was first seen"
            said = f"Day {fact['contract_days']} {since}, an age at which more accounts leave."
    return said


def _tenths(amount: float) -> str:
    """Tell an amount with one decimal, half up, as `wording.number` rounds."""
    tenths = (round(amount * 1_000_000) + 50_000) // 100_000
    return f"{tenths // 10}.{tenths % 10}"


def _percent(share: float) -> str:
    """Tell a share as `wording.percent` does."""
    return f"{(round(share * 1_000_000) + 5_000) // 10_000} %"


def _many(count: float, noun: str) -> str:
    return f"{count:.0f} {noun}{'' if count == 1 else 's'}"
