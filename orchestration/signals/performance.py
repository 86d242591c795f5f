"""Performance: how often a flag was right on the customer's own history.

What belongs here: counting what followed a flag, with intervals and a verdict, from arrays of
accounts x checks. What does not: which days are checked, how a flag came about, writing tables.

A check looks at one account on one day. It is in the risk set while the outcome can still happen to
the account; it is counted once its horizon is over, so that nobody waits for an outcome that may
still come. The horizon of day D covers the days D+1 to D+horizon.

Checks of one account are no independent facts: one departure is an outcome of several checks. So
intervals resample accounts, and the verdict asks what shuffling outcomes between accounts would
have given, check day by check day; a flag that only comes up when everybody leaves has no merit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Verdict = Literal["works", "no_better_than_chance", "not_enough_outcomes"]

HORIZONS = (28, 56, 90)
"""Days within which the outcome must follow."""

NO_OUTCOME = np.iinfo(np.int32).max
"""The next outcome's day where there is none."""

MIN_OUTCOMES = 50
"""With fewer accounts that had an outcome no lift is claimed."""

CHANCE = 0.01
"""How likely shuffled outcomes may be to make any of the rules tested together look right."""

RESAMPLES = 1000
SEED = 20_130_101


@dataclass(frozen=True, slots=True)
class Performance:
    """What followed a flag within one horizon; counts are checks unless they say accounts.

    Attributes:
        horizon_days: Days within which the outcome counted.
        checked_count: Checks in the risk set whose horizon is over.
        flagged_count: Of them, with the flag open.
        outcome_count: Of them, followed by the outcome.
        outcome_account_count: Accounts with at least one such outcome.
        hit_count: Flagged and followed by the outcome.
        precision: Share of the flagged that were followed by the outcome, None without flags.
        recall: Share of the outcomes that were flagged, None without outcomes.
        base_rate: Share of all checks that were followed by the outcome, None without checks.
        lift: precision / base_rate; None where either is missing or outcomes are too few.
        lift_low: Lower end of its 95 % interval.
        lift_high: Upper end of its 95 % interval.
        p_value: Chance of as many hits or more with outcomes shuffled between accounts.
        median_lead_days: Days from the first flagged check within the horizon to the outcome,
            median over accounts that were flagged, half days rounded up; None without.
        never_flagged_share: Share of the accounts without any outcome that were flagged at least
            once: what the rule costs those who stay.
        verdict: `not_enough_outcomes` below `MIN_OUTCOMES` accounts; `works` when the interval
            lies above 1 and the p-value holds for all rules tested together; else
            `no_better_than_chance`.
    """

    horizon_days: int
    checked_count: int
    flagged_count: int
    outcome_count: int
    outcome_account_count: int
    hit_count: int
    precision: float | None
    recall: float | None
    base_rate: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    p_value: float | None
    median_lead_days: int | None
    never_flagged_share: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class History:
    """The checks on which flags are judged, the same for every flag of one outcome.

    Attributes:
        check_days: Day numbers of the checks, ascending, shape (checks,).
        at_risk: Whether the outcome could still happen, shape (accounts, checks).
        next_outcome: Day of the first outcome after each check, `NO_OUTCOME` without, same shape.
        observed_until: The last day on which outcomes are known.
    """

    check_days: Ints
    at_risk: Bools
    next_outcome: npt.NDArray[np.integer]
    observed_until: int


def next_outcomes(
    account: npt.NDArray[np.integer],
    day: npt.NDArray[np.integer],
    accounts: int,
    check_days: npt.NDArray[np.integer],
) -> npt.NDArray[np.int32]:
    """Find the first outcome after every check.

    Args:
        account: Row number of the account of each outcome, shape (outcomes,), any order.
        day: Its day number, same shape.
        accounts: How many accounts there are.
        check_days: Ascending, shape (checks,).

    Returns:
        Day of the first outcome strictly later than the check, `NO_OUTCOME` without; shape
        (accounts, checks).
    """
    found = np.full((accounts, len(check_days)), NO_OUTCOME, dtype=np.int32)
    # An outcome of day d is the next one for checks before d; the earliest outcome wins.
    until = np.searchsorted(check_days, day, side="left")
    for row, last, when in zip(account.tolist(), until.tolist(), day.tolist(), strict=True):
        np.minimum(found[row, :last], when, out=found[row, :last])
    return found


def evaluate(
    history: History, flags: Mapping[str, Bools], horizons: Sequence[int] = HORIZONS
) -> dict[str, list[Performance]]:
    """Judge flags on every horizon, all that share one outcome together.

    The more verdicts are given together, the stronger the evidence each of them needs.

    Args:
        history: Checks, risk set and outcomes.
        flags: Per flag whether it was open, shape (accounts, checks); counts only in the risk set.
        horizons: In days.

    Returns:
        Per flag one result for each horizon. The same input gives the same numbers, in whatever
        order the accounts come.
    """
    tests = len(flags) * len(horizons)
    both_at_risk = _overlap(history.at_risk)
    after = [_followed(history, both_at_risk, horizon) for horizon in horizons]
    results = {}
    for key, flagged in flags.items():
        both_flagged = _overlap(flagged & history.at_risk)
        results[key] = [_judge(followed, flagged, both_flagged, tests) for followed in after]
    return results


@dataclass(frozen=True, slots=True)
class _Followed:
    """What followed every check whose horizon is over, whatever the flags say."""

    horizon: int
    over: Bools
    days: Ints
    risk: Bools
    following: npt.NDArray[np.integer]
    came: Bools
    stays: Bools
    both_at_risk: Floats
    outcome_total: Floats
    outcome_scatter: Floats


def _followed(history: History, both_at_risk: Floats, horizon: int) -> _Followed:
    over = history.check_days + horizon <= history.observed_until
    days = history.check_days[over]
    risk = history.at_risk[:, over]
    following = history.next_outcome[:, over]
    came = risk & (following <= days + horizon)
    pairs = both_at_risk[np.ix_(over, over)]
    outcome_total, outcome_scatter = _scatter(_overlap(came), pairs)
    goes = (risk & (following < NO_OUTCOME)).sum(axis=1) > 0
    seen = risk.sum(axis=1) > 0
    return _Followed(
        horizon=horizon,
        over=over,
        days=days,
        risk=risk,
        following=following,
        came=came,
        # No outcome after any check, also later than the horizon.
        stays=seen & ~goes,
        both_at_risk=pairs,
        outcome_total=outcome_total,
        outcome_scatter=outcome_scatter,
    )


def _judge(followed: _Followed, flagged: Bools, both_flagged: Floats, tests: int) -> Performance:
    flags = flagged[:, followed.over] & followed.risk
    hits = flags & followed.came
    cells = (followed.risk, flags, followed.came, hits)
    counts = np.stack([cell.sum(axis=1) for cell in cells], axis=1)
    checked, flag_count, outcome_count, hit_count = (int(total) for total in counts.sum(axis=0))
    outcome_accounts = int((counts[:, 2] > 0).sum())
    enough = outcome_accounts >= MIN_OUTCOMES
    precision, recall = _share(hit_count, flag_count), _share(hit_count, outcome_count)
    base_rate = _share(outcome_count, checked)
    lift = precision / base_rate if enough and precision is not None and base_rate else None
    low, high = _lift_interval(counts) if lift is not None else (None, None)
    p_value = _p_value(followed, both_flagged, hit_count) if lift is not None else None
    stays = followed.stays
    return Performance(
        horizon_days=followed.horizon,
        checked_count=checked,
        flagged_count=flag_count,
        outcome_count=outcome_count,
        outcome_account_count=outcome_accounts,
        hit_count=hit_count,
        precision=precision,
        recall=recall,
        base_rate=base_rate,
        lift=lift,
        lift_low=low,
        lift_high=high,
        p_value=p_value,
        median_lead_days=_median_lead(hits, followed.following, followed.days),
        never_flagged_share=_share(int((flags.any(axis=1) & stays).sum()), int(stays.sum())),
        verdict=_verdict(enough, low, p_value, tests),
    )


def _verdict(enough: bool, low: float | None, p_value: float | None, tests: int) -> Verdict:
    if not enough:
        return "not_enough_outcomes"
    if low is not None and low > 1 and p_value is not None and p_value <= CHANCE / tests:
        return "works"
    return "no_better_than_chance"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _median_lead(hits: Bools, following: npt.NDArray[np.integer], days: Ints) -> int | None:
    """Median over accounts of the days from the earliest hit to its outcome."""
    rows = np.flatnonzero(hits.any(axis=1))
    if not len(rows):
        return None
    first = hits[rows].argmax(axis=1)
    return math.ceil(float(np.median(following[rows, first] - days[first])))


def _lift_interval(counts: Ints) -> tuple[float | None, float | None]:
    """Resample accounts and take the 2.5th and 97.5th percentile of the lift.

    Accounts with equal counts are interchangeable, so it is enough to draw how often each kind of
    account comes up; that is exact, and a hundred thousand accounts cost what their kinds cost.

    Source:
        Percentile bootstrap over clusters (Efron & Tibshirani 1993, ch. 13; Davison & Hinkley
        1997, ch. 3.8).
    """
    _, first, many = np.unique(
        counts @ (int(counts.max()) + 1) ** np.arange(4, dtype=np.int64),
        return_index=True,
        return_counts=True,
    )
    kinds = counts[first]
    draws = np.random.default_rng(SEED).multinomial(many.sum(), many / many.sum(), size=RESAMPLES)
    checked, flags, outcomes, hits = (draws @ kinds).astype(np.float64).T
    valid = (flags > 0) & (outcomes > 0)
    if not valid.any():
        return None, None
    lifts = (hits[valid] / flags[valid]) / (outcomes[valid] / checked[valid])
    low, high = np.percentile(lifts, [2.5, 97.5])
    return float(low), float(high)


def _p_value(followed: _Followed, both_flagged: Floats, hits: int) -> float | None:
    """Give the chance of so many hits if outcomes were shuffled between the accounts at risk.

    On each check day flags and outcomes are then independent: their expected overlap is flags x
    outcomes / accounts at risk. The covariance of two check days is that of a random matching: the
    product of both scatters over the accounts at risk less one. Hits come in clumps, one per
    departing account, so their number follows a Poisson scaled to this mean and variance.

    Source:
        Mean and variance of a random permutation's inner product (Mantel 1967); scaled Poisson
        tail P(N >= k) = regularised lower gamma (k, mean).
    """
    pairs = followed.both_at_risk
    over = followed.over
    flag_total, flag_scatter = _scatter(both_flagged[np.ix_(over, over)], pairs)
    mean = float((flag_total * followed.outcome_total / np.maximum(pairs.diagonal(), 1)).sum())
    if mean <= 0:
        return None
    if hits == 0:
        return 1.0
    shared = flag_scatter * followed.outcome_scatter / np.maximum(pairs - 1, 1)
    clump = max(float(shared.sum()) / mean, 1.0)
    return float(gammainc(hits / clump, mean / clump))


def _overlap(cells: Bools) -> Floats:
    """Count for every two checks the accounts that are set on both, shape (checks, checks)."""
    # Rows without anything add nothing; float32 counts exactly up to 16 million accounts.
    rows = cells[cells.any(axis=1)].astype(np.float32)
    counted: Floats = (rows.T @ rows).astype(np.float64)
    return counted


def _scatter(overlap: Floats, both_at_risk: Floats) -> tuple[Floats, Floats]:
    """Totals per check, and centred sums of products of every two checks."""
    total = overlap.diagonal().copy()
    rate = total / np.maximum(both_at_risk.diagonal(), 1)
    return total, overlap - np.outer(rate, rate) * both_at_risk
