"""Flags: the rules, each a small function over columns, and the one function that applies them.

What belongs here: when a rule holds for an account or a user on the as-of date, what it shows as
evidence, and its sentence. What does not: reading marts, writing tables, how facts are computed.

A rule never sees rows. It gets its thresholds and returns polars expressions over a wide frame with
one row per entity (`FACTS`). A fact that is null raises nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

import polars as pl
import polars.selectors as cs

from orchestration.signals.evidence import evidence_texts
from orchestration.signals.weeks import BASELINE_GAP_WEEKS, BASELINE_WEEKS, NOW_WEEKS, WEEK_DAYS
from orchestration.signals.wording import counted, days_ago, days_ahead, number, percent

Entity = Literal["account", "user"]
Kind = Literal["risk", "opportunity"]
Parameters = Mapping[str, float | int | bool]

# An account that canceled, or whose trial ran out, has gone: nothing about its use is news.
# `unknown` stays: a product that sends no billing facts still wants its flags.
LIVE_STATUSES = ("paid", "trial", "unknown")

KEYS: dict[Entity, tuple[str, ...]] = {
    "account": ("account_id",),
    "user": ("account_id", "user_id"),
}

# What a rule can look at. Engagement is the default model's; decimals may come as they are.
FACTS: dict[Entity, pl.Schema] = {
    "account": pl.Schema(
        {
            "account_id": pl.String(),
            "account_status": pl.String(),
            "missing_steps": pl.String(),  # account steps, comma-separated
            "trend": pl.String(),
            "flagship_steps": pl.List(
                pl.Struct(
                    {
                        "step_key": pl.String(),
                        "step_name": pl.String(),
                        "level": pl.String(),
                        "completed_rate": pl.Float64(),  # an account step: 0 or 1
                    }
                )
            ),
            "active_user_count": pl.Int64(),
            "user_count": pl.Int64(),
            "engagement_score": pl.Float64(),
            "engagement_score_avg": pl.Float64(),
            "window_days": pl.Int64(),
            "activation_rate": pl.Float64(),
            "user_activation_rate": pl.Float64(),
            "readiness_rate": pl.Float64(),
            "weeks_observed": pl.Int64(),
            "points_now": pl.Float64(),
            "points_baseline": pl.Float64(),
            "baseline_ratio": pl.Float64(),
            "slope_points_per_week": pl.Float64(),
            "slope_p_value": pl.Float64(),
            "is_benchmark_thin": pl.Boolean(),
            "is_user_benchmark_thin": pl.Boolean(),
            "trial_ends_date": pl.Date(),
            "contract_started_date": pl.Date(),
            "contract_ends_date": pl.Date(),
            "first_seen_date": pl.Date(),
            "last_seen_date": pl.Date(),
            "last_points_date": pl.Date(),
        }
    ),
    "user": pl.Schema(
        {
            "account_id": pl.String(),
            "user_id": pl.String(),
            "account_status": pl.String(),
            "active_day_count": pl.Int64(),
            "engagement_points": pl.Float64(),
            "account_engagement_points": pl.Float64(),
            "engagement_score": pl.Float64(),
            "window_days": pl.Int64(),
            "activation_rate": pl.Float64(),
            "is_benchmark_thin": pl.Boolean(),
            "last_seen_date": pl.Date(),
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule has to say with given thresholds, as expressions over the facts.

    Attributes:
        condition: Whether the flag holds; null counts as no.
        evidence: The facts it rests on, by the name they get in the evidence.
        sentence: The same in plain English, with its numbers.
    """

    condition: pl.Expr
    evidence: Mapping[str, pl.Expr]
    sentence: pl.Expr


@dataclass(frozen=True, slots=True)
class Rule:
    """One flag: what it is about, its thresholds and when it holds.

    Attributes:
        key: The flag's key in `flag_rules.csv` and in the marts.
        entity: Whose flag it is.
        kind: A risk or an opportunity.
        parameters: Every threshold with its default; the dial's own values go over them.
        judge: Thresholds in, finding out.
    """

    key: str
    entity: Entity
    kind: Kind
    parameters: Parameters
    judge: Callable[[Parameters], Finding]

    @property
    def columns(self) -> frozenset[str]:
        """The facts that the rule looks at."""
        finding = self.judge(self.parameters)
        looks = (finding.condition, *finding.evidence.values(), finding.sentence)
        names = {name for look in looks for name in look.meta.root_names()}
        return frozenset(names - {"as_of_date", ""})


class RuleDial(Protocol):
    """A row of `flag_rules.csv`, as the dials hand it over."""

    @property
    def flag_key(self) -> str:
        """The key of the rule."""
        ...

    @property
    def kind(self) -> str:
        """Risk or opportunity."""
        ...

    @property
    def severity(self) -> str:
        """How much it matters."""
        ...

    @property
    def is_enabled(self) -> bool:
        """Whether the rule is applied."""
        ...

    @property
    def parameters(self) -> Parameters:
        """Thresholds that differ from the defaults."""
        ...

    @property
    def title(self) -> str:
        """What a person calls the flag."""
        ...

    @property
    def playbook(self) -> str:
        """What to do about it."""
        ...


def _is_live() -> pl.Expr:
    return pl.col("account_status").is_in(LIVE_STATUSES)


def _is_under_contract(grace_days: float) -> pl.Expr:
    """Live, and the contract, if there is one, did not run out longer ago than the grace.

    Billing facts often stop when a customer leaves, so that the status stays `paid`; after a while
    silence is no longer a risk, it is how it ended.
    """
    is_over = (_days_since("contract_ends_date") > grace_days).fill_null(value=False)
    return _is_live() & is_over.not_()


def _days_since(day: str) -> pl.Expr:
    return (pl.col("as_of_date") - pl.col(day)).dt.total_days()


def _days_until(day: str) -> pl.Expr:
    return (pl.col(day) - pl.col("as_of_date")).dt.total_days()


def _trusted(score: str, thin: str) -> pl.Expr:
    """The score where its benchmark can carry a flag, else null."""
    return pl.when(pl.col(thin).not_()).then(pl.col(score))


def _activation() -> pl.Expr:
    """The account's own steps or its readiness, whichever is lower.

    So members who do everything cannot hide an account that is not set up, nor the reverse.
    """
    return pl.min_horizontal("activation_rate", "readiness_rate")


def _flagships_missing(max_user_rate: float) -> pl.Expr:
    """The flagship steps that the account has not done, or that hardly any member did."""
    return pl.col("flagship_steps").list.filter(
        pl.element().struct.field("completed_rate") <= max_user_rate
    )


def _names(steps: pl.Expr) -> pl.Expr:
    return steps.list.eval(pl.element().struct.field("step_name")).list.join(", ")


def _step_keys(text: str) -> pl.Expr:
    return (
        pl.when(pl.col(text) == "")
        .then(pl.lit([], dtype=pl.List(pl.String)))
        .otherwise(pl.col(text).str.split(","))
    )


def _missing_clause() -> pl.Expr:
    return (
        pl.when(pl.col("missing_steps").fill_null("") == "")
        .then(pl.lit(""))
        .otherwise(pl.format("; missing: {}", pl.col("missing_steps").str.replace_all(",", ", ")))
    )


def _falling_engagement(given: Parameters) -> Finding:
    """The trend falls, and the last weeks are well below the account's own baseline.

    It compares the account with itself only, so a thin benchmark does not matter; the floor on the
    baseline keeps out accounts whose few events come and go by chance.
    """
    ratio = pl.col("baseline_ratio")
    baseline_weeks = (pl.col("weeks_observed") - BASELINE_GAP_WEEKS).clip(0, BASELINE_WEEKS)
    baseline_from = pl.col("as_of_date").dt.offset_by(
        pl.format("-{}d", WEEK_DAYS * (BASELINE_GAP_WEEKS + baseline_weeks) - 1)
    )
    return Finding(
        condition=_is_under_contract(given["contract_grace_days"])
        & (pl.col("trend") == "falling")
        & (ratio <= given["max_baseline_ratio"])
        & (pl.col("points_baseline") >= given["min_baseline_points"]),
        evidence={
            "account_status": pl.col("account_status"),
            "contract_ends_date": pl.col("contract_ends_date"),
            "points_now": pl.col("points_now"),
            "points_baseline": pl.col("points_baseline"),
            "baseline_ratio": ratio,
            "slope_points_per_week": pl.col("slope_points_per_week"),
            "slope_p_value": pl.col("slope_p_value"),
            "weeks_observed": pl.col("weeks_observed"),
            "now_from_date": pl.col("as_of_date").dt.offset_by(f"-{WEEK_DAYS * NOW_WEEKS - 1}d"),
            "baseline_from_date": baseline_from,
            "baseline_to_date": pl.col("as_of_date").dt.offset_by(
                f"-{WEEK_DAYS * BASELINE_GAP_WEEKS}d"
            ),
            "last_seen_date": pl.col("last_seen_date"),
        },
        sentence=pl.format(
            "Points fell {} against its own {}, from {} to {} a week; last seen {}.",
            percent(1 - ratio),
            counted(baseline_weeks, "week", "weeks"),
            number(pl.col("points_baseline")),
            number(pl.col("points_now")),
            days_ago(_days_since("last_seen_date")),
        ),
    )


def _dormant(given: Parameters) -> Finding:
    """A customer that used the product before has no points for a while.

    Points, not events: what a backend sends in the account's name is not use. An account that never
    had points is not dormant, it never woke up; that is `stalled_activation`.
    """
    silent_days = _days_since("last_points_date")
    return Finding(
        condition=_is_under_contract(given["contract_grace_days"])
        & (silent_days >= given["min_silent_days"]),
        evidence={
            "account_status": pl.col("account_status"),
            "contract_ends_date": pl.col("contract_ends_date"),
            "silent_days": silent_days,
            "last_points_date": pl.col("last_points_date"),
            "last_seen_date": pl.col("last_seen_date"),
            "points_baseline": pl.col("points_baseline"),
            "weeks_observed": pl.col("weeks_observed"),
        },
        sentence=pl.format(
            "No points for {}, the last ones came on {}; account status: {}.",
            counted(silent_days, "day", "days"),
            pl.col("last_points_date").dt.to_string("%Y-%m-%d"),
            pl.col("account_status"),
        ),
    )


def _high_engagement_low_activation(given: Parameters) -> Finding:
    """Much use, little of the value: busy with the old ways, the newer features untouched.

    Activation is low when the rate is, or when this many flagship steps are missing. A newcomer
    gets `min_age_days` first.
    """
    score = _trusted("engagement_score", "is_benchmark_thin")
    missing = _flagships_missing(given["max_flagship_user_rate"])
    missing_count = missing.list.len().fill_null(0)
    age_days = _days_since("first_seen_date") + 1
    is_low = (_activation() <= given["max_activation_rate"]).fill_null(value=False)
    return Finding(
        condition=_is_live()
        & (score >= given["min_engagement_score"])
        & (age_days >= given["min_age_days"])
        & (is_low | (missing_count >= given["min_missing_flagship_steps"])),
        evidence={
            "account_status": pl.col("account_status"),
            "age_days": age_days,
            "engagement_score": score,
            "window_days": pl.col("window_days"),
            "active_user_count": pl.col("active_user_count"),
            "activation_rate": pl.col("activation_rate"),
            "user_activation_rate": pl.col("user_activation_rate"),
            "readiness_rate": pl.col("readiness_rate"),
            "missing_flagship_steps": missing,
            "missing_steps": _step_keys("missing_steps"),
        },
        sentence=pl.format(
            "Engagement score {}, but {}{}.",
            number(score),
            pl.when(_activation().is_null())
            .then(pl.lit("activation is not measured"))
            .otherwise(pl.format("{} activated", percent(_activation()))),
            pl.when(missing_count > 0)
            .then(pl.format("; flagship steps missing: {}", _names(missing)))
            .otherwise(_missing_clause()),
        ),
    )


def _stalled_activation(given: Parameters) -> Finding:
    """Long under contract, and still not where the value is."""
    contract_days = _days_since("contract_started_date")
    return Finding(
        condition=_is_under_contract(given["contract_grace_days"])
        & (contract_days >= given["min_contract_days"])
        & (_activation() <= given["max_activation_rate"]),
        evidence={
            "account_status": pl.col("account_status"),
            "contract_started_date": pl.col("contract_started_date"),
            "contract_ends_date": pl.col("contract_ends_date"),
            "contract_days": contract_days,
            "activation_rate": pl.col("activation_rate"),
            "user_activation_rate": pl.col("user_activation_rate"),
            "readiness_rate": pl.col("readiness_rate"),
            "missing_steps": _step_keys("missing_steps"),
        },
        sentence=pl.format(
            "{} activated {} after the contract started{}.",
            percent(_activation()),
            counted(contract_days, "day", "days"),
            _missing_clause(),
        ),
    )


def _trial_ready_for_sales(given: Parameters) -> Finding:
    """A trial that has seen the value and uses it now.

    The better of two scores counts: the account's own, and the mean of its active users, so that a
    small team on trial is not held against the biggest customers.
    """
    score = pl.max_horizontal(
        _trusted("engagement_score", "is_benchmark_thin"),
        _trusted("engagement_score_avg", "is_user_benchmark_thin"),
    )
    silent_days = _days_since("last_points_date")
    trial_days_left = _days_until("trial_ends_date")
    return Finding(
        condition=(pl.col("account_status") == "trial")
        & (pl.col("readiness_rate") >= given["min_readiness_rate"])
        & (score >= given["min_engagement_score"])
        & (pl.col("active_user_count") >= given["min_active_user_count"])
        & (silent_days <= given["max_silent_days"]),
        evidence={
            "trial_ends_date": pl.col("trial_ends_date"),
            "trial_days_left": trial_days_left,
            "activation_rate": pl.col("activation_rate"),
            "user_activation_rate": pl.col("user_activation_rate"),
            "readiness_rate": pl.col("readiness_rate"),
            "engagement_score": _trusted("engagement_score", "is_benchmark_thin"),
            "engagement_score_avg": _trusted("engagement_score_avg", "is_user_benchmark_thin"),
            "window_days": pl.col("window_days"),
            "active_user_count": pl.col("active_user_count"),
            "user_count": pl.col("user_count"),
            "last_points_date": pl.col("last_points_date"),
        },
        sentence=pl.format(
            "{}: {} activated, engagement score {}, {} of {} active.",
            pl.when(trial_days_left.is_null())
            .then(pl.lit("Trial without an end date"))
            .otherwise(pl.format("Trial ends {}", days_ahead(trial_days_left))),
            percent(pl.col("readiness_rate")),
            number(score),
            pl.col("active_user_count"),
            counted(pl.col("user_count"), "user", "users"),
        ),
    )


def _champion(given: Parameters) -> Finding:
    """A user near the top of the fleet, on many days, who knows the product.

    A user level without steps leaves the rate null; then the other two decide.
    """
    score = _trusted("engagement_score", "is_benchmark_thin")
    rate = pl.col("activation_rate")
    share = (
        pl.when(pl.col("account_engagement_points") > 0)
        .then(pl.col("engagement_points") / pl.col("account_engagement_points"))
        .round(6, mode="half_away_from_zero")
    )
    return Finding(
        condition=_is_live()
        & (score >= given["min_engagement_score"])
        & (pl.col("active_day_count") >= given["min_active_day_count"])
        & ((rate >= given["min_activation_rate"]) | rate.is_null()),
        evidence={
            "account_status": pl.col("account_status"),
            "engagement_score": score,
            "window_days": pl.col("window_days"),
            "active_day_count": pl.col("active_day_count"),
            "activation_rate": rate,
            "account_points_share": share,
            "last_seen_date": pl.col("last_seen_date"),
        },
        sentence=pl.format(
            "Engagement score {}, active on {} of {}{}{}.",
            number(score),
            pl.col("active_day_count"),
            counted(pl.col("window_days"), "day", "days"),
            pl.when(rate.is_null())
            .then(pl.lit(""))
            .otherwise(pl.format(", {} activated", percent(rate))),
            pl.when(share.is_null())
            .then(pl.lit(""))
            .otherwise(pl.format("; brings {} of the account's points", percent(share))),
        ),
    )


RULES: dict[str, Rule] = {
    rule.key: rule
    for rule in (
        Rule(
            key="falling_engagement",
            entity="account",
            kind="risk",
            parameters={
                "max_baseline_ratio": 0.6,
                "min_baseline_points": 30,
                "contract_grace_days": 30,
            },
            judge=_falling_engagement,
        ),
        Rule(
            key="dormant",
            entity="account",
            kind="risk",
            parameters={"min_silent_days": 14, "contract_grace_days": 30},
            judge=_dormant,
        ),
        Rule(
            key="high_engagement_low_activation",
            entity="account",
            kind="risk",
            parameters={
                "min_engagement_score": 75,
                "max_activation_rate": 0.5,
                "min_missing_flagship_steps": 3,
                "max_flagship_user_rate": 0.1,
                "min_age_days": 14,
            },
            judge=_high_engagement_low_activation,
        ),
        Rule(
            key="stalled_activation",
            entity="account",
            kind="risk",
            parameters={
                "min_contract_days": 180,
                "max_activation_rate": 0.5,
                "contract_grace_days": 30,
            },
            judge=_stalled_activation,
        ),
        Rule(
            key="trial_ready_for_sales",
            entity="account",
            kind="opportunity",
            parameters={
                "min_readiness_rate": 0.6,
                "min_engagement_score": 50,
                "min_active_user_count": 2,
                "max_silent_days": 7,
            },
            judge=_trial_ready_for_sales,
        ),
        Rule(
            key="champion",
            entity="user",
            kind="opportunity",
            parameters={
                "min_engagement_score": 90,
                "min_active_day_count": 10,
                "min_activation_rate": 0.75,
            },
            judge=_champion,
        ),
    )
}


def flags_schema(entity: Entity) -> pl.Schema:
    """Give the columns of the flags of accounts or users, in order."""
    texts = ("flag_key", "kind", "severity", "title", "sentence", "evidence", "playbook")
    columns: dict[str, pl.DataType] = {name: pl.String() for name in (*KEYS[entity], *texts)}
    return pl.Schema(columns | {"as_of_date": pl.Date()})


def raise_flags(
    facts: pl.DataFrame, entity: Entity, dials: Iterable[RuleDial], as_of: date
) -> pl.DataFrame:
    """Apply every enabled rule of an entity to its facts.

    Args:
        facts: One row per entity with the columns of `FACTS[entity]`, in any order.
        entity: Which rules to apply.
        dials: The rows of `flag_rules.csv`; rules without a row raise nothing.
        as_of: The day that the facts describe.

    Returns:
        One row per entity and flag that holds, `flags_schema(entity)`, sorted by its key.

    Raises:
        ValueError: A column of `FACTS[entity]` is missing.
        KeyError: A dial names a rule that does not exist.
    """
    schema = FACTS[entity]
    missing = [name for name in schema if name not in facts.columns]
    if missing:
        raise ValueError(f"facts of {entity}s lack the columns {', '.join(missing)}")
    wide = (
        facts.select(schema.names())
        .with_columns(cs.decimal().cast(pl.Float64))
        .cast(schema)
        .with_columns(as_of_date=pl.lit(as_of, dtype=pl.Date))
    )
    raised = [
        _raise(wide, RULES[dial.flag_key], dial, as_of)
        for dial in dials
        if dial.is_enabled and RULES[dial.flag_key].entity == entity
    ]
    return pl.concat([flags_schema(entity).to_frame(), *raised]).sort(*KEYS[entity], "flag_key")


def _raise(wide: pl.DataFrame, rule: Rule, dial: RuleDial, as_of: date) -> pl.DataFrame:
    parameters = {**rule.parameters, **dial.parameters}
    finding = rule.judge(parameters)
    held = wide.filter(finding.condition)
    shown = held.select(**finding.evidence)
    texts = evidence_texts(shown.iter_rows(named=True), as_of, parameters)
    return held.select(
        *KEYS[rule.entity],
        flag_key=pl.lit(rule.key),
        kind=pl.lit(dial.kind),
        severity=pl.lit(dial.severity),
        title=pl.lit(dial.title),
        sentence=finding.sentence,
        evidence=pl.Series(texts, dtype=pl.String),
        playbook=pl.lit(dial.playbook),
        as_of_date="as_of_date",
    )
