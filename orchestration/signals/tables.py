"""Tables: what the marts made in Python look like, and what every column of them means.

Names, SQL types, comments and keys; how they are filled stands in `trends` and `flags`.
"""

from dataclasses import dataclass

import polars as pl

from orchestration.signals.weeks import (
    BASELINE_GAP_WEEKS,
    BASELINE_WEEKS,
    MIN_BASELINE_WEEKS,
    MIN_TREND_WEEKS,
    NOW_WEEKS,
    RECENT_DAYS,
    TREND_WEEKS,
    WEEK_DAYS,
)

TEXT, COUNT, NUMBER, BOOLEAN, DATE = "VARCHAR", "BIGINT", "DECIMAL(18, 6)", "BOOLEAN", "DATE"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, SQL type and meaning."""

    name: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """One mart: its name, meaning, key columns, those of them that may be null, and all columns."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    nullable: tuple[str, ...] = ()


_POLARS = {
    TEXT: pl.String(),
    COUNT: pl.Int64(),
    NUMBER: pl.Float64(),
    BOOLEAN: pl.Boolean(),
    DATE: pl.Date(),
}


def frame_of(table: Table) -> pl.DataFrame:
    """Make an empty frame with the columns of a table, as polars holds them before writing."""
    return pl.DataFrame(schema={column.name: _POLARS[column.type] for column in table.columns})


_ACCOUNT = Column("account_id", TEXT, "The account.")
_USER = Column("user_id", TEXT, "The user.")
_AS_OF = Column("as_of_date", DATE, "The last full day that the row describes.")

_MODEL = Column("score_model", TEXT, "The score model that weighs the events.")
_TREND = (
    Column("trend", TEXT, "rising, steady, falling or not_enough_data."),
    Column("sentence", TEXT, "The trend in plain English, with its numbers."),
    Column(
        "weeks_observed",
        COUNT,
        f"Whole weeks, blocks of {WEEK_DAYS} days that end on the as-of date, since first seen.",
    ),
    Column(
        "days_since_active",
        COUNT,
        "Days from the last day with points to the as-of date; null where there never were any.",
    ),
    Column(
        "active_day_count_14d",
        COUNT,
        f"Days with points among the last {RECENT_DAYS}.",
    ),
    Column(
        "points_now",
        NUMBER,
        f"Mean weekly points of the last {NOW_WEEKS} weeks; null with fewer weeks observed.",
    ),
    Column(
        "points_baseline",
        NUMBER,
        f"Median weekly points of the up to {BASELINE_WEEKS} weeks that are older than "
        f"{BASELINE_GAP_WEEKS * WEEK_DAYS} days, silent weeks as zeros; null with fewer than "
        f"{MIN_BASELINE_WEEKS} such weeks.",
    ),
    Column(
        "baseline_ratio",
        NUMBER,
        "points_now / points_baseline; null where the baseline is null or 0.",
    ),
    Column(
        "fleet_ratio",
        NUMBER,
        "Median baseline_ratio of everybody with the same score model; null where nobody has one.",
    ),
    Column(
        "relative_ratio",
        NUMBER,
        "baseline_ratio / fleet_ratio: 1 is a change like everybody's; null where either is null.",
    ),
    Column(
        "slope_points_per_week",
        NUMBER,
        f"Theil-Sen slope of the weekly points over the last {TREND_WEEKS} weeks (fewer if not "
        f"observed); null with fewer than {MIN_TREND_WEEKS}.",
    ),
    Column(
        "slope_low_points_per_week", NUMBER, "Lower end of the slope's 95 % interval (Sen 1968)."
    ),
    Column(
        "slope_high_points_per_week", NUMBER, "Upper end of the slope's 95 % interval (Sen 1968)."
    ),
    Column(
        "slope_p_value",
        NUMBER,
        "Two-sided p of the Mann-Kendall test on the same weeks, with tie correction and "
        f"continuity, exact below {TREND_WEEKS} weeks; null with fewer than {MIN_TREND_WEEKS}.",
    ),
    Column(
        "change_p_value",
        NUMBER,
        "How likely chance alone moves the last weeks so far from the baseline, given how bursty "
        "the fleet's weekly points are; null without a baseline.",
    ),
    Column(
        "robust_z",
        NUMBER,
        "Points of the as-of date against the same weekday of up to 12 weeks before, in robust "
        "deviations (0.6745 (x - median) / MAD); null with fewer than 4, or where most are equal.",
    ),
    Column("is_default_model", BOOLEAN, "Whether the score model is the one named default."),
    _AS_OF,
)

_KEY = Column("flag_key", TEXT, "The rule, as in the dial flag_rules.")
_KIND = Column("kind", TEXT, "risk or opportunity.")
_SEVERITY = Column(
    "severity",
    TEXT,
    "low, medium or high: as the dial flag_rules says, one step more for every relapse.",
)
_SENTENCE = Column(
    "sentence", TEXT, "Why it was raised, in plain English, with the numbers of that day."
)
_EVIDENCE = Column(
    "evidence",
    TEXT,
    "JSON object: the facts of the day on which it opened, the rule's parameters and the "
    "fingerprint of the dials.",
)
_PRECISION = Column(
    "precision",
    NUMBER,
    "Share of this rule's checks with an open flag that were followed by its outcome within 28 "
    "days, on this history; null without any.",
)
_VERDICT = Column(
    "verdict",
    TEXT,
    "Track record of the rule at 28 days: works, no_better_than_chance or not_enough_outcomes "
    "(fewer than 50 accounts).",
)
_DAYS_OPEN = Column("days_open", COUNT, "On how many days it has been open.")
_RELAPSES = Column(
    "relapse_count", COUNT, "How often it closed and came back within the rule's cooldown_days."
)
_OPENED = Column("opened_date", DATE, "The day on which it opened first.")

_FLAG = (
    _KEY,
    _KIND,
    _SEVERITY,
    Column("title", TEXT, "What a person calls the flag."),
    _SENTENCE,
    _EVIDENCE,
    Column("playbook", TEXT, "What to do about it, as the dial flag_rules says."),
    _VERDICT,
    _DAYS_OPEN,
    _RELAPSES,
    _PRECISION,
    _OPENED,
    _AS_OF,
)

USER_SCORE_TRENDS = Table(
    name="user_score_trends",
    description="One row per score model, account and user scored on the as-of date: "
    "where the user's weekly points are going.",
    key=("score_model", "account_id", "user_id"),
    columns=(_MODEL, _ACCOUNT, _USER, *_TREND),
)
ACCOUNT_SCORE_TRENDS = Table(
    name="account_score_trends",
    description="One row per score model and account scored on the as-of date: "
    "where the account's weekly points are going.",
    key=("score_model", "account_id"),
    columns=(_MODEL, _ACCOUNT, *_TREND),
)
USER_FLAGS = Table(
    name="user_flags",
    description="One row per account, user and flag that is open on the as-of date.",
    key=("account_id", "user_id", "flag_key"),
    columns=(_ACCOUNT, _USER, *_FLAG),
)
ACCOUNT_FLAGS = Table(
    name="account_flags",
    description="One row per account and flag that is open on the as-of date.",
    key=("account_id", "flag_key"),
    columns=(_ACCOUNT, *_FLAG),
)
FLAG_HISTORY = Table(
    name="flag_history",
    description="One row per flag of an account or user that ever opened, with what it rested on "
    "when it did.",
    key=("entity", "account_id", "user_id", "flag_key", "opened_date"),
    nullable=("user_id",),
    columns=(
        Column("entity", TEXT, "Whose flag it is: account or user."),
        _ACCOUNT,
        Column("user_id", TEXT, "The user; null where it is the account's flag."),
        _KEY,
        _KIND,
        _SEVERITY,
        _SENTENCE,
        _EVIDENCE,
        _DAYS_OPEN,
        _RELAPSES,
        _OPENED,
        Column("closed_date", DATE, "The day on which it closed last; null while it is open."),
    ),
)
FLAG_PERFORMANCE = Table(
    name="flag_performance",
    description="One row per flag and horizon: how often the rule was right on this history, "
    "checked every Monday with what was known then.",
    key=("flag_key", "horizon_days"),
    columns=(
        Column("flag_key", TEXT, "The rule; any_high_risk: all account risks of high severity."),
        _KIND,
        Column(
            "outcome",
            TEXT,
            "What makes the flag right: canceled (risks), or grown: started to pay, more seats or "
            "more revenue (opportunities). A flag of a user is judged by its account.",
        ),
        Column(
            "verdict",
            TEXT,
            "works: the interval of the lift lies above 1, and shuffled outcomes would hardly do "
            "as well; no_better_than_chance; not_enough_outcomes: fewer than 50 accounts.",
        ),
        Column("horizon_days", COUNT, "Days after the check within which the outcome counts."),
        Column(
            "checked_count", COUNT, "Checks of accounts that could leave, whose horizon is over."
        ),
        Column("flagged_count", COUNT, "Of them, with the flag open."),
        Column("outcome_count", COUNT, "Of them, followed by the outcome."),
        Column("outcome_account_count", COUNT, "Accounts with such an outcome."),
        Column("hit_count", COUNT, "Flagged and followed by the outcome."),
        Column("precision", NUMBER, "hit_count / flagged_count; null without flags."),
        Column("recall", NUMBER, "hit_count / outcome_count; null without outcomes."),
        Column("base_rate", NUMBER, "outcome_count / checked_count; null without checks."),
        Column("lift", NUMBER, "precision / base_rate; null where outcomes are too few."),
        Column("lift_low", NUMBER, "Lower end of the lift's 95 % interval, resampled by account."),
        Column("lift_high", NUMBER, "Upper end of the lift's 95 % interval."),
        Column(
            "p_value", NUMBER, "Chance of as many hits with outcomes shuffled between accounts."
        ),
        Column(
            "median_lead_days",
            COUNT,
            "Days from the first flagged check within the horizon to the outcome, median over "
            "accounts, of two middle ones their mean, rounded up.",
        ),
        Column(
            "never_flagged_share",
            NUMBER,
            "Share of the accounts without any outcome that were flagged at least once.",
        ),
        _AS_OF,
    ),
)

ACCOUNT_CHURN_RISK = Table(
    name="account_churn_risk",
    description="One row per account that could leave: live, and its contract, if there is one, "
    "begun and not over for more than 30 days.",
    key=("account_id",),
    columns=(
        _ACCOUNT,
        Column("ranking", TEXT, "Which ranking is shown: model or active_days."),
        Column(
            "first_reason",
            TEXT,
            "What adds most to its risk, in plain English; null where nothing does.",
        ),
        Column("second_reason", TEXT, "What adds most after that; null where nothing else does."),
        Column(
            "churn_risk_rate",
            NUMBER,
            "Estimated chance to cancel within 28 days, 0-1; null where active days rank.",
        ),
        Column(
            "churn_risk_rank",
            COUNT,
            "1 for the account most at risk; equal ones share the smallest number.",
        ),
        _AS_OF,
    ),
)
RISK_RANKING_PERFORMANCE = Table(
    name="risk_ranking_performance",
    description="One row per ranking of churn risk and horizon: how well it told who would cancel, "
    "every Monday with what was known then and by other accounts.",
    key=("ranking", "horizon_days"),
    columns=(
        Column("ranking", TEXT, "model, or active_days: few active days in 14 first."),
        Column(
            "verdict",
            TEXT,
            "works: the AUC is above 0.5 with its 99 % interval; no_better_than_chance; "
            "not_enough_outcomes: fewer than 30 accounts.",
        ),
        Column("reason", TEXT, "Which ranking is shown and why, in plain English."),
        Column("horizon_days", COUNT, "Days after the check within which the account cancels."),
        Column(
            "checked_count",
            COUNT,
            "Checks that both could rank and whose horizon is over; where the model could rank "
            "none, all of them for active_days.",
        ),
        Column("account_count", COUNT, "Accounts with such a check."),
        Column("outcome_count", COUNT, "Of the checks, followed by a cancellation."),
        Column("outcome_account_count", COUNT, "Accounts with such a cancellation."),
        Column("base_rate", NUMBER, "outcome_count / checked_count; null without checks."),
        Column(
            "auc",
            NUMBER,
            "Chance that a check followed by a cancellation stands higher in the list of its day "
            "than one that is not, ties half: 0.5 is chance; null where outcomes are too few.",
        ),
        Column("auc_low", NUMBER, "Lower end of the AUC's 95 % interval, resampled by account."),
        Column("auc_high", NUMBER, "Upper end of the AUC's 95 % interval."),
        Column(
            "top_decile_precision",
            NUMBER,
            "Share of the first tenth of the lists that cancelled within the horizon.",
        ),
        Column("top_decile_recall", NUMBER, "Share of the cancellations that are in that tenth."),
        Column(
            "top_decile_lift", NUMBER, "top_decile_precision / base_rate: 1 is chance, 10 the most."
        ),
        Column(
            "top_decile_lift_low",
            NUMBER,
            "Lower end of the lift's 95 % interval, resampled by account.",
        ),
        Column("top_decile_lift_high", NUMBER, "Upper end of the lift's 95 % interval."),
        Column("is_shown", BOOLEAN, "Whether account_health shows this ranking."),
        _AS_OF,
    ),
)
