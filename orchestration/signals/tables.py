"""Tables: what the marts made in Python look like, and what every column of them means.

Names, SQL types, comments and keys; how they are filled stands in `trends` and `flags`.
"""

from dataclasses import dataclass

from orchestration.signals.weeks import (
    BASELINE_GAP_WEEKS,
    BASELINE_WEEKS,
    MIN_BASELINE_WEEKS,
    MIN_TREND_WEEKS,
    NOW_WEEKS,
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
    """One mart: its name, meaning, key columns and all columns in order."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]


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
        "slope_points_per_week",
        NUMBER,
        f"Theil-Sen slope of the weekly points over the last {TREND_WEEKS} weeks (fewer if not "
        f"observed); null with fewer than {MIN_TREND_WEEKS}.",
    ),
    Column(
        "slope_p_value",
        NUMBER,
        "Two-sided p of the Mann-Kendall test on the same weeks, with tie correction and "
        f"continuity; null with fewer than {MIN_TREND_WEEKS}.",
    ),
    Column("is_default_model", BOOLEAN, "Whether the score model is the one named default."),
    _AS_OF,
)

_FLAG = (
    Column("flag_key", TEXT, "The rule, as in the dial flag_rules."),
    Column("kind", TEXT, "risk or opportunity."),
    Column("severity", TEXT, "How much the flag matters, as the dial flag_rules says."),
    Column("title", TEXT, "What a person calls the flag."),
    Column("sentence", TEXT, "Why it was raised, in plain English, with numbers."),
    Column(
        "evidence",
        TEXT,
        "JSON object: the facts that the flag rests on, the as-of date and the rule's parameters.",
    ),
    Column("playbook", TEXT, "What to do about it, as the dial flag_rules says."),
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
    description="One row per account, user and flag that holds on the as-of date.",
    key=("account_id", "user_id", "flag_key"),
    columns=(_ACCOUNT, _USER, *_FLAG),
)
ACCOUNT_FLAGS = Table(
    name="account_flags",
    description="One row per account and flag that holds on the as-of date.",
    key=("account_id", "flag_key"),
    columns=(_ACCOUNT, *_FLAG),
)
