"""Ranking: which accounts are most likely to leave next, and whether that ranking is any good.

What belongs here: the features of the model, fitting it on what had happened by then, judging it
forward in time against the ranking by active days, and the reasons of each account. What does not:
how use is measured (`features`), which days are checked, writing tables.

The model is a logistic regression on few features, each held against the account's peers of that
day. It is judged as it would have been used: fitted on checks whose horizon was over by then, and
on other accounts than the one it ranks. It is shown only if it beats the ranking by active days on
that history; else that ranking is shown.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from orchestration.signals.features import MIN_PEERS, NEVER, Use
from orchestration.signals.performance import History

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Inputs = npt.NDArray[np.float32]
Method = Literal["model", "active_days"]

HORIZON = 28
"""Days within which an account leaves."""

MIN_DEPARTURES = 30
"""With fewer departed accounts to learn from there is no model."""

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

MAX_FIT_ROWS = 20_000
"""Of more checks with or without a departure, a weighted sample is learned from."""

MAX_SCORED_ACCOUNTS = 3_000
"""Of more accounts that left or stayed, a weighted sample gives the (then wider) intervals."""

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
    """What the model looks at, raw; every array of shape (accounts, checks).

    Attributes:
        use: Recent use, measured on the days of the checks.
        readiness: `readiness_rate` of that day, nan where there is none.
        feature_count: Product features used in the 28 days up to the check.
        contract_days: Days since the contract started, or since the account was first seen.
        group: Peer group of that day, from 0.
    """

    use: Use
    readiness: Floats
    feature_count: npt.NDArray[np.integer]
    contract_days: npt.NDArray[np.integer]
    group: npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Score:
    """How good one ranking was, over all checks together.

    Attributes:
        auc: Chance that a check followed by a departure ranks above one that was not; ties half.
        auc_low: Lower end of its 95 % interval, resampled by account.
        auc_high: Upper end.
        top_decile_lift: Departures among the tenth ranked highest, over those to be expected.
        top_decile_low: Lower end of its 95 % interval.
        top_decile_high: Upper end.
    """

    auc: float
    auc_low: float
    auc_high: float
    top_decile_lift: float
    top_decile_low: float
    top_decile_high: float


@dataclass(frozen=True, slots=True)
class RankingPerformance:
    """The model against the ranking by active days, on the checks that the model could rank.

    Attributes:
        checked_count: Checks judged.
        outcome_count: Of them, followed by a departure within the horizon.
        outcome_account_count: Accounts that departed.
        model: The model, None where it never had enough to learn from.
        active_days: The ranking by few active days in 14, on the same checks.
        method: Which ranking is used.
        why: In one sentence.
    """

    checked_count: int
    outcome_count: int
    outcome_account_count: int
    model: Score | None
    active_days: Score | None
    method: Method
    why: str


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


def model_features(measures: Measures, at_risk: Bools) -> Inputs:
    """Turn measures into the model's features.

    Args:
        measures: Raw, of the whole fleet: peers are compared within each check.
        at_risk: Accounts that count as peers, shape (accounts, checks).

    Returns:
        Shape (accounts, checks, features), in the order of `FEATURES`. Log ratios have one active
        user-day added above and below, so that silence stays finite.
    """
    use = measures.use
    peers = at_risk & (use.history_days >= MIN_HISTORY_DAYS)
    inputs = np.zeros((*at_risk.shape, len(FEATURES)), dtype=np.float32)
    for place, feature in enumerate(FEATURES):
        values = _raw(feature.name, measures)
        if feature.is_centred:
            values = values - peer_means(values, peers, measures.group)
        inputs[:, :, place] = values
    return inputs


def _raw(name: str, measures: Measures) -> Floats:
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


def peer_means(values: Floats, peers: Bools, group: npt.NDArray[np.integer]) -> Floats:
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


def forward_scores(
    history: History, features: Inputs, history_days: npt.NDArray[np.integer], folds: Ints
) -> Floats:
    """Score every check by a model that knew neither its account nor anything later.

    Args:
        history: Checks, risk set and departures.
        features: From `model_features`.
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
    if any(lesson.departures < MIN_DEPARTURES for lesson in lessons):
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
        features: From `model_features`.
        history_days: Days since the first activity, shape (accounts, checks).
        day: What had not happened by the end of this day is not known.

    Returns:
        The model; None with fewer than `MIN_DEPARTURES` departed accounts.

    Source:
        L2-penalised logistic regression (Hastie, Tibshirani & Friedman 2009, ch. 4.4); the rate is
        a second, unpenalised one on its score, which undoes the shrinkage (Platt 1999).
    """
    lesson = _lessons(history, features, history_days, day)
    if lesson.departures < MIN_DEPARTURES:
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
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    # Few features, many rows: a handful of exact steps.
    model = LogisticRegression(C=strength, solver="newton-cholesky")
    model.fit(inputs, lesson.left, sample_weight=lesson.weight)
    return np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0])


def judge(
    history: History, scores: Floats, active_days: npt.NDArray[np.integer]
) -> RankingPerformance:
    """Compare the model with the ranking by active days, on the checks that both could rank.

    Args:
        history: Checks, risk set and departures.
        scores: From `forward_scores`.
        active_days: Active days among the last 14, shape (accounts, checks).

    Returns:
        Both scores with intervals, and which ranking is used. The model is, if its AUC and its top
        decile are both better and its AUC lies above 0.5 with its whole interval.
    """
    over = history.check_days + HORIZON <= history.observed_until
    judged = history.at_risk & over & ~np.isnan(scores)
    left = judged & (history.next_outcome <= history.check_days + HORIZON)
    checked, outcomes = int(judged.sum()), int(left.sum())
    departed = int(left.any(axis=1).sum())
    if departed < MIN_DEPARTURES or checked == outcomes:
        return RankingPerformance(
            checked_count=checked,
            outcome_count=outcomes,
            outcome_account_count=departed,
            model=None,
            active_days=None,
            method="active_days",
            why=(
                f"Ranked by active days: {departed} departures could be predicted from earlier "
                f"ones, and a model is trusted from {MIN_DEPARTURES} on."
            ),
        )
    account, check = np.nonzero(judged)
    outcome = left[account, check]
    model, plain = (
        score_ranking(values[account, check], outcome, account)
        for values in (scores, -active_days.astype(np.float64))
    )
    better = model.auc > plain.auc and model.top_decile_lift > plain.top_decile_lift
    is_used = better and model.auc_low > 0.5  # noqa: PLR2004 - a coin's AUC
    numbers = (
        f"AUC {model.auc:.3f} against {plain.auc:.3f}, top decile {model.top_decile_lift:.2f} "
        f"against {plain.top_decile_lift:.2f}, on {departed} departures it had not seen."
    )
    return RankingPerformance(
        checked_count=checked,
        outcome_count=outcomes,
        outcome_account_count=departed,
        model=model,
        active_days=plain,
        method="model" if is_used else "active_days",
        why=(
            f"Ranked by the model, which beats active days: {numbers}"
            if is_used
            else f"Ranked by active days, which the model does not clearly beat: {numbers}"
        ),
    )


def score_ranking(risk: Floats, outcome: Bools, account: npt.NDArray[np.integer]) -> Score:
    """Measure a ranking over checks.

    Args:
        risk: Higher is riskier, shape (checks,).
        outcome: Whether the account left within the horizon, at least one and not all.
        account: Account number of each check; intervals resample accounts.

    Returns:
        AUC and top-decile lift with their 95 % intervals.

    Source:
        AUC as Mann-Whitney statistic with ties half (Hanley & McNeil 1982); Poisson bootstrap over
        clusters (Chamandy et al. 2012); of very many accounts a sample stands for all.
    """
    rng = np.random.default_rng(SEED)
    departing = np.unique(account[outcome])
    weight = np.zeros(int(account.max()) + 1)
    for kind in (departing, np.setdiff1d(account, departing)):
        kept, weights = _sample(kind.astype(np.int64), MAX_SCORED_ACCOUNTS, rng)
        weight[kept] = weights
    exact = _measure(np.unique(risk, return_inverse=True)[1], outcome, np.ones(len(risk)))
    rows = weight[account] > 0
    outcome, account = outcome[rows], account[rows]
    place = np.unique(risk[rows], return_inverse=True)[1]
    drawn = []
    for _ in range(RESAMPLES):
        times = rng.poisson(1.0, len(weight)) * weight
        drawn.append(_measure(place, outcome, times[account]))
    low, high = np.nanpercentile(np.array(drawn), [2.5, 97.5], axis=0)
    return Score(
        auc=exact[0],
        auc_low=float(low[0]),
        auc_high=float(high[0]),
        top_decile_lift=exact[1],
        top_decile_low=float(low[1]),
        top_decile_high=float(high[1]),
    )


def _measure(place: Ints, outcome: Bools, weight: Floats) -> tuple[float, float]:
    """AUC and top-decile lift of weighted checks by their place, the safest 0; equal ones share."""
    everyone = np.bincount(place, weights=weight)[::-1]
    left = np.bincount(place, weights=weight * outcome)[::-1]
    stayed = everyone - left
    if left.sum() <= 0 or stayed.sum() <= 0:
        return float("nan"), float("nan")
    above = np.cumsum(left) - left
    auc = float((stayed * (above + left / 2)).sum() / (left.sum() * stayed.sum()))
    room = TOP_SHARE * everyone.sum() - (np.cumsum(everyone) - everyone)
    taken = np.clip(np.divide(room, everyone, out=np.zeros_like(room), where=everyone > 0), 0, 1)
    return auc, float((taken * left).sum() / (TOP_SHARE * left.sum()))


def rank_accounts(
    method: Method, model: Model | None, measures: Measures, features: Inputs, at_risk: Bools
) -> Ranking:
    """Rank the accounts on one day.

    Args:
        method: From `judge`.
        model: From `fit` on all accounts; needed for the method `model`.
        measures: Of that one day, shape (accounts, 1).
        features: Of that one day, shape (accounts, 1, features).
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
        inputs = features[:, 0].astype(np.float64)
        contributions = model.contributions(inputs)
        risk = np.round(contributions.sum(axis=1), 9)
        chance = 1 / (1 + np.exp(-(model.offset + model.slope * risk)))
        rate[at_risk] = np.round(chance[at_risk], 6)
        reasons = _model_reasons(measures, inputs, contributions, at_risk)
    else:
        silent = np.minimum(measures.use.silent_days[:, 0], NEVER)
        risk = -measures.use.active_days[:, 0] + silent / (2 * NEVER)
        reasons = _plain_reasons(measures.use, at_risk)
    ranked = np.sort(-risk[at_risk])
    rank[at_risk] = np.searchsorted(ranked, -risk[at_risk], side="left") + 1
    return Ranking(method=method, rate=rate, rank=rank, reasons=reasons)


def _model_reasons(
    measures: Measures, features: Floats, contributions: Floats, at_risk: Bools
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
    tell = _sentences(measures, features)
    said: list[tuple[str, ...]] = []
    for account, ranked in enumerate(at_risk.tolist()):
        things = strongest[account] if ranked else []
        told = [
            windows[account, 0] if thing == 0 else others[thing - 1]
            for thing in things
            if adds[account, thing] > 0
        ]
        if len(told) == 1 and contributions[account, windows[account, 1]] > 0:
            told.append(windows[account, 1])
        said.append(tuple(tell[FEATURES[place].name](account) for place in told))
    return said


def _plain_reasons(use: Use, at_risk: Bools) -> list[tuple[str, ...]]:
    said: list[tuple[str, ...]] = []
    for active, silent, ranked in zip(
        use.active_days[:, 0].tolist(),
        use.silent_days[:, 0].tolist(),
        at_risk.tolist(),
        strict=True,
    ):
        last = "never active" if silent == NEVER else f"last active {silent} days ago"
        said.append((f"Active on {active} of the last 14 days; {last}.",) if ranked else ())
    return said


def _sentences(measures: Measures, features: Floats) -> dict[str, Callable[[int], str]]:
    """Give per feature what it says about an account, with its numbers."""
    use = measures.use
    names = [feature.name for feature in FEATURES]
    readiness = np.nan_to_num(measures.readiness[:, 0])
    peers_readiness = readiness - features[:, names.index("readiness")]
    breadth = measures.feature_count[:, 0].astype(np.float64)
    peers_breadth = breadth - features[:, names.index("breadth")]

    def change(days: int) -> Callable[[int], str]:
        return lambda account: (
            f"{use.used[days][account, 0]:.0f} active user-days in {days} days, where its habit "
            f"and its peers' calendar led to expect {use.expected[days][account, 0]:.1f}."
        )

    def silence(account: int) -> str:
        days = int(use.silent_days[account, 0])
        if days == NEVER:
            return "Never active."
        expected = (use.habit * use.silent_peer_days)[account, 0]
        return f"Silent for {days} days, in which {expected:.1f} user-days were to be expected."

    return {
        "change_14_days": change(14),
        "change_28_days": change(28),
        "change_56_days": change(56),
        "level": lambda account: (
            f"{use.used[28][account, 0]:.0f} active user-days in 28 days, where a typical peer "
            f"of its size has {use.peers[28][account, 0]:.1f}."
        ),
        "silence": silence,
        "readiness": lambda account: (
            f"Readiness {100 * readiness[account]:.0f} %, where its peers have "
            f"{100 * peers_readiness[account]:.0f} % on average."
        ),
        "breadth": lambda account: (
            f"{breadth[account]:.0f} features used in 28 days, where its peers use "
            f"{peers_breadth[account]:.1f} on average."
        ),
        "contract_age": lambda account: (
            f"Day {int(measures.contract_days[account, 0])} of the contract, an age at which more "
            "accounts leave."
        ),
    }
