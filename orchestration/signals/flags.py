"""Flags: the rules, each a small function over columns, and what a raised flag says.

What belongs here: when a rule holds for an account or a user, what it shows as evidence, and its
sentence. What does not: how facts are computed, and for how long a condition must hold.

A rule never sees rows. It gets its thresholds and returns polars expressions: a condition over the
facts of a day (`facts.DAYS`), evidence and a sentence over those and the details of the day on
which the flag opens (`facts.FACTS`). A fact that is null raises nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import polars as pl

from orchestration.signals.evidence import evidence_texts
from orchestration.signals.facts import FACTS, KEYS, Entity
from orchestration.signals.history import SEVERITIES
from orchestration.signals.weeks import (
    BASELINE_GAP_WEEKS,
    BASELINE_WEEKS,
    NOW_WEEKS,
    WEEK_DAYS,
)
from orchestration.signals.wording import counted, day, number, percent, signed

Kind = Literal["risk", "opportunity"]
Parameters = Mapping[str, float | int | bool]

# An account that canceled, or whose trial ran out, has gone: nothing about its use is news.
# `unknown` stays: a product that sends no billing facts still wants its flags.
LIVE_STATUSES = ("paid", "trial", "unknown")

PERSISTENCE: Parameters = {
    "min_days": 1,
    "close_after_days": 7,
    "cooldown_days": 28,
    "mute_if_no_better_than_chance": False,
}
"""What every rule has besides its own thresholds: see `history.Persistence`, and whether its open
flags are held back where its track record is no better than chance."""

FLEET_FELL_RATIO = 0.8
"""Where peers use at most this share of what they did, part of a fall may be everybody's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule has to say with given thresholds, as expressions over the facts.

    Attributes:
        scope: Whom the rule is about at all; who leaves it has the flag no more. Null counts as no.
        first: What is looked at on every day.
        rest: What is looked at only on days that pass: facts that are dear, and needed for few
            days. None where the first is all.
        evidence: The facts it rests on, by the name they get in the evidence.
        sentence: The same in plain English, with its numbers.
    """

    scope: pl.Expr
    first: pl.Expr
    rest: pl.Expr | None
    evidence: Mapping[str, pl.Expr]
    sentence: pl.Expr

    @property
    def condition(self) -> pl.Expr:
        """Whether the rule holds for them; null counts as no."""
        return self.first if self.rest is None else self.first & self.rest


@dataclass(frozen=True)
class Rule:
    """One flag: what it is about, its thresholds and when it holds.

    Attributes:
        key: The flag's key in `flag_rules.csv` and in the marts.
        entity: Whose flag it is.
        kind: A risk or an opportunity.
        parameters: Every threshold with its default; the dial's own values go over them.
        judge: Thresholds in, finding out.
        rests_on_usage: Whether a day without data would look like a reason; such days do not count.
    """

    key: str
    entity: Entity
    kind: Kind
    parameters: Parameters
    judge: Callable[[Parameters], Finding]
    rests_on_usage: bool = False

    @cached_property
    def judged(self) -> frozenset[str]:
        """The facts that decide whether it holds."""
        finding = self.judge(self.parameters)
        return roots(finding.scope, finding.condition)

    @cached_property
    def shown(self) -> frozenset[str]:
        """The facts that evidence and sentence tell."""
        finding = self.judge(self.parameters)
        return roots(*finding.evidence.values(), finding.sentence)

    def given(self, dial: "RuleDial") -> Parameters:
        """The thresholds in force."""
        return {**self.parameters, **dial.parameters}


def roots(*looks: pl.Expr) -> frozenset[str]:
    """Name the facts that expressions ask for."""
    return frozenset(name for look in looks for name in look.meta.root_names() if name)


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


def _is_on_trial() -> pl.Expr:
    return pl.col("account_status") == "trial"


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


def _exact(amount: pl.Expr) -> pl.Expr:
    """To 6 places: a difference or product that is to be compared with a threshold."""
    return amount.round(6, mode="half_away_from_zero")


def _trusted(score: str, thin: str) -> pl.Expr:
    """The score where its benchmark can carry a flag, else null."""
    return pl.when(pl.col(thin).not_()).then(pl.col(score))


def _activation() -> pl.Expr:
    """The account's own steps or its readiness, whichever is lower.

    So members who do everything cannot hide an account that is not set up, nor the reverse.
    """
    return pl.min_horizontal("activation_rate", "readiness_rate")


def _activated() -> pl.Expr:
    """What activation says, and of what it is made where it is not the account's own steps."""
    return pl.format(
        "{} activated{}",
        percent(_activation()),
        pl.when(pl.col("activation_rate") <= pl.col("readiness_rate"))
        .then(pl.lit(""))
        .otherwise(
            pl.format(
                " (own steps {}, people {})",
                percent(pl.col("activation_rate")),
                percent(pl.col("user_activation_rate")),
            )
        )
        .fill_null(""),
    )


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


def _fleet_clause() -> pl.Expr:
    """How its peers' calendar moved: " (fleet: -4 %)"."""
    return (
        pl.when(pl.col("fleet_ratio").is_null())
        .then(pl.lit(""))
        .otherwise(pl.format(" (fleet: {})", signed(pl.col("fleet_ratio") - 1)))
    )


def _fleet_fell() -> pl.Expr:
    """What speaks against a fall of the account's own; null where nothing does."""
    return pl.when(pl.col("fleet_ratio") <= FLEET_FELL_RATIO).then(
        pl.format(
            "Its peers' use fell {} too; a season or a gap in the data may be part of it.",
            percent(1 - pl.col("fleet_ratio")),
        )
    )


def _mover_clause(kind: Kind) -> pl.Expr:
    """The event that fell most (or rose, for an opportunity): "; video_shared 31 → 6"."""
    before, now = (pl.element().struct.field(name) for name in ("before", "now"))
    moved = now < before if kind == "risk" else now > before
    first = pl.col("event_movers").list.filter(moved).list.first()
    return (
        pl.when(first.is_null())
        .then(pl.lit(""))
        .otherwise(
            pl.format(
                "; {} {} → {} a week",
                first.struct.field("name"),
                number(first.struct.field("before")),
                number(first.struct.field("now")),
            )
        )
    )


def _falling_engagement(given: Parameters) -> Finding:
    """Use is well below what the account's own habit and its peers' calendar lead to expect.

    Either for long, and a little more than chance explains, or lately (in four weeks, or in two)
    and clearly: the shorter the time, the surer it must be. The last weeks must be low too, so
    that one that is recovering is left alone. Who is new has no habit yet to fall from. Rare use
    cannot surprise: that is the volume floor.
    """
    ratio = given["max_use_ratio"]
    is_long = (
        (pl.col("use_ratio_56d") <= ratio)
        & (pl.col("use_ratio_28d") <= ratio)
        & (pl.col("use_surprise_56d") >= given["min_long_surprise"])
    )
    is_recent = (
        (pl.col("use_ratio_28d") <= ratio)
        & (pl.col("use_ratio_14d") <= ratio)
        & (pl.col("use_surprise_28d") >= given["min_recent_surprise"])
    )
    # The sentence tells four weeks, or the last two where only those are low.
    is_month = pl.col("use_ratio_28d") <= ratio
    told = {
        name: pl.when(is_month).then(pl.col(f"{name}_28d")).otherwise(pl.col(f"{name}_14d"))
        for name in ("used", "expected", "use_ratio")
    }
    is_sudden = (pl.col("use_ratio_14d") <= ratio) & (
        pl.col("use_surprise_14d") >= given["min_recent_surprise"]
    )
    return Finding(
        scope=_is_under_contract(given["contract_grace_days"]),
        first=(pl.col("history_days") >= given["min_history_days"])
        & pl.any_horizontal(
            *((pl.col(f"use_ratio_{days}d") <= ratio).fill_null(value=False) for days in (14, 28))
        ),
        rest=pl.any_horizontal(
            *(way.fill_null(value=False) for way in (is_long, is_recent, is_sudden))
        ),
        evidence={
            "account_status": pl.col("account_status"),
            "contract_ends_date": pl.col("contract_ends_date"),
            **_use(14),
            **_use(28),
            **_use(56),
            "fleet_ratio": pl.col("fleet_ratio"),
            "user_count": pl.col("user_count"),
            "active_day_count_14d": pl.col("active_day_count_14d"),
            **_level(),
            "last_seen_date": pl.col("last_seen_date"),
            "event_movers": pl.col("event_movers"),
            "user_movers": pl.col("user_movers"),
            "counter_evidence": _fleet_fell(),
        },
        sentence=pl.format(
            "Use fell {} below what its own habit and its peers' calendar lead to expect{}: "
            "{} instead of {} in {} days{}; last seen on {}.",
            percent(1 - told["use_ratio"]),
            _fleet_clause(),
            counted(told["used"].cast(pl.Int64), "active user-day", "active user-days"),
            number(told["expected"]),
            pl.when(is_month).then(28).otherwise(14),
            _mover_clause("risk"),
            day(pl.col("last_seen_date")),
        ),
    )


def _use(days: int) -> dict[str, pl.Expr]:
    names = ("used", "expected", "use_ratio", "use_surprise")
    return {f"{name}_{days}d": _rounded(f"{name}_{days}d") for name in names}


def _rounded(name: str) -> pl.Expr:
    return pl.col(name).round(6, mode="half_away_from_zero")


def _level() -> dict[str, pl.Expr]:
    """The points of the last weeks and of the twelve weeks before, with their windows.

    Of who was seen too lately to have had a week by then the baseline has no window.
    """
    baseline_weeks = (pl.col("weeks_observed") - BASELINE_GAP_WEEKS).clip(0, BASELINE_WEEKS)
    last = pl.when(baseline_weeks > 0).then(pl.col("as_of_date"))
    names = (
        "weeks_observed",
        "points_now",
        "points_baseline",
        "baseline_ratio",
        "slope_points_per_week",
    )
    return {
        **{name: pl.col(name) for name in names},
        "now_from_date": pl.col("as_of_date").dt.offset_by(f"-{WEEK_DAYS * NOW_WEEKS - 1}d"),
        "baseline_from_date": last.dt.offset_by(
            pl.format("-{}d", WEEK_DAYS * (BASELINE_GAP_WEEKS + baseline_weeks) - 1)
        ),
        "baseline_to_date": last.dt.offset_by(f"-{WEEK_DAYS * BASELINE_GAP_WEEKS}d"),
    }


def _dormant(given: Parameters) -> Finding:
    """A customer that used the product before is silent, while its peers are not.

    Points, not events: what a backend sends in the account's name is not use. An account that never
    had points is not dormant, it never woke up; that is `stalled_activation`. Silence says little
    of somebody who always came rarely: either hardly anything was left before, or the silence is
    long for this account.
    """
    silent_days = pl.col("days_since_active")
    gap_days = _days_since("last_points_date") - silent_days
    return Finding(
        scope=_is_under_contract(given["contract_grace_days"]),
        first=silent_days >= given["min_silent_days"],
        rest=(pl.col("peer_days_in_silence") >= given["min_peer_days"])
        & (
            (pl.col("used_56d") <= _exact(given["max_use_share"] * pl.col("typical_use_56d")))
            | (_exact(pl.col("expected_in_silence")) >= given["min_expected_use"])
        ),
        evidence={
            "account_status": pl.col("account_status"),
            "contract_ends_date": pl.col("contract_ends_date"),
            "silent_days": silent_days,
            "last_points_date": pl.col("last_points_date"),
            "last_seen_date": pl.col("last_seen_date"),
            "peer_days_in_silence": _rounded("peer_days_in_silence"),
            "expected_in_silence": _rounded("expected_in_silence"),
            "used_56d": pl.col("used_56d"),
            "typical_use_56d": _rounded("typical_use_56d"),
            "fleet_ratio": pl.col("fleet_ratio"),
            **_level(),
            "user_movers": pl.col("user_movers"),
            "counter_evidence": _fleet_fell(),
        },
        sentence=pl.format(
            "No points since {}, for {}{}, of which a member of its peers came on {}; "
            "account status: {}.",
            day(pl.col("last_points_date")),
            counted(silent_days, "day", "days"),
            pl.when(gap_days > 0)
            .then(pl.format(" (and {} with a gap in the data)", counted(gap_days, "day", "days")))
            .otherwise(pl.lit("")),
            number(pl.col("peer_days_in_silence")),
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
    # Rates ascend: so many are missing if the one at that place is.
    place = max(int(given["min_missing_flagship_steps"]), 1) - 1
    rate = pl.col("flagship_rates").list.get(place, null_on_oob=True)
    age_days = _days_since("first_seen_date") + 1
    return Finding(
        scope=_is_live(),
        first=(score >= given["min_engagement_score"]) & (age_days >= given["min_age_days"]),
        rest=pl.any_horizontal(
            (_activation() <= given["max_activation_rate"]).fill_null(value=False),
            (rate <= given["max_flagship_user_rate"]).fill_null(value=False),
        ),
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
            .otherwise(_activated()),
            pl.when(missing_count > 0)
            .then(pl.format("; flagship steps missing: {}", _names(missing)))
            .otherwise(_missing_clause()),
        ),
    )


def _stalled_activation(given: Parameters) -> Finding:
    """Long under contract, and still not where the value is."""
    contract_days = _days_since("contract_started_date")
    return Finding(
        scope=_is_under_contract(given["contract_grace_days"]),
        first=(contract_days >= given["min_contract_days"])
        & (_activation() <= given["max_activation_rate"]),
        rest=None,
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
            "{} {} after the contract started{}.",
            _activated(),
            counted(contract_days, "day", "days"),
            _missing_clause(),
        ),
    )


def _trial_ready_for_sales(given: Parameters) -> Finding:
    """A trial that has seen the value and uses it now.

    The better of two scores counts: the account's own, and the mean of its active users, so that a
    small team on trial is not held against the biggest customers.
    """
    own = _trusted("engagement_score", "is_benchmark_thin")
    mean = _trusted("engagement_score_avg", "is_user_benchmark_thin")
    score = pl.max_horizontal(own, mean)
    silent_days = _days_since("last_points_date")
    trial_days_left = _days_until("trial_ends_date")
    return Finding(
        scope=_is_on_trial(),
        first=pl.col("readiness_rate") >= given["min_readiness_rate"],
        rest=(score >= given["min_engagement_score"])
        & (pl.col("active_user_count") >= given["min_active_user_count"])
        & (silent_days <= given["max_silent_days"]),
        evidence={
            "trial_ends_date": pl.col("trial_ends_date"),
            "trial_days_left": trial_days_left,
            "activation_rate": pl.col("activation_rate"),
            "user_activation_rate": pl.col("user_activation_rate"),
            "readiness_rate": pl.col("readiness_rate"),
            "engagement_score": own,
            "engagement_score_avg": mean,
            "window_days": pl.col("window_days"),
            "active_user_count": pl.col("active_user_count"),
            "user_count": pl.col("user_count"),
            "last_points_date": pl.col("last_points_date"),
        },
        sentence=pl.format(
            "{}: {} ready, {} {}, {} of {} active.",
            pl.when(trial_days_left.is_null())
            .then(pl.lit("Trial without an end date"))
            .otherwise(pl.format("Trial ends on {}", day(pl.col("trial_ends_date")))),
            percent(pl.col("readiness_rate")),
            pl.when(own == score)
            .then(pl.lit("engagement score"))
            .otherwise(pl.lit("its people's mean score")),
            number(score),
            pl.col("active_user_count"),
            counted(pl.col("user_count"), "user", "users"),
        ),
    )


def _value_drift(given: Parameters) -> Finding:
    """As busy as ever, but away from what the product is valued for.

    Either readiness came down from where it was, or the events of the flagship steps have nearly
    stopped; steps with an expiry notice the latter only weeks later.
    """
    drop = _exact(pl.col("readiness_peak_56d") - pl.col("readiness_rate"))
    has_dropped = (drop >= given["min_readiness_drop"]).fill_null(value=False)
    usual = pl.col("value_usual_28d")
    has_stopped = (
        (usual >= given["min_value_events"])
        & (pl.col("value_count_28d") <= _exact(given["max_value_ratio"] * usual))
    ).fill_null(value=False)
    dropped = pl.format(
        "readiness is {} after {}",
        percent(pl.col("readiness_rate")),
        percent(pl.col("readiness_peak_56d")),
    )
    stopped = pl.format(
        "flagship events came {} in 28 days instead of {}",
        counted(pl.col("value_count_28d"), "time", "times"),
        number(usual),
    )
    return Finding(
        scope=_is_under_contract(given["contract_grace_days"]),
        first=has_dropped | has_stopped,
        rest=pl.col("use_ratio_28d") >= given["min_use_ratio"],
        evidence={
            "account_status": pl.col("account_status"),
            "readiness_rate": pl.col("readiness_rate"),
            "readiness_peak_56d": pl.col("readiness_peak_56d"),
            "value_count_28d": pl.col("value_count_28d"),
            "value_usual_28d": _rounded("value_usual_28d"),
            **_use(28),
            "missing_steps": _step_keys("missing_steps"),
            "event_movers": pl.col("event_movers"),
            "user_movers": pl.col("user_movers"),
        },
        sentence=pl.format(
            "Use goes on ({} of what was expected), but {}{}.",
            percent(pl.col("use_ratio_28d")),
            pl.when(has_dropped & has_stopped)
            .then(pl.format("{}, and {}", dropped, stopped))
            .when(has_dropped)
            .then(dropped)
            .otherwise(stopped),
            _mover_clause("risk"),
        ),
    )


def _flagship_unused(given: Parameters) -> Finding:
    """In use for long, and a feature that makes it worth the price was hardly ever touched."""
    missing = _flagships_missing(given["max_flagship_user_rate"])
    age_days = _days_since("first_seen_date") + 1
    lowest = pl.col("flagship_rates").list.get(0, null_on_oob=True)
    return Finding(
        scope=_is_under_contract(given["contract_grace_days"]),
        first=(age_days >= given["min_age_days"]) & (pl.col("used_28d") > 0),
        rest=lowest <= given["max_flagship_user_rate"],
        evidence={
            "account_status": pl.col("account_status"),
            "age_days": age_days,
            "user_count": pl.col("user_count"),
            "used_28d": pl.col("used_28d"),
            "missing_flagship_steps": missing,
        },
        sentence=pl.format(
            "With the product for {}, and never got to: {}.",
            counted(age_days, "day", "days"),
            _names(missing),
        ),
    )


def _champion_gone(given: Parameters) -> Finding:
    """The user who made half of the points fell silent, while the others go on."""
    share = pl.col("silent_top_share")
    return Finding(
        scope=_is_under_contract(given["contract_grace_days"]),
        first=(pl.col("user_count") >= given["min_user_count"])
        & (pl.col("used_28d") >= given["min_used_days"]),
        rest=(share >= given["min_top_share"])
        & (pl.col("used_before_28d") >= given["min_used_days"])
        & (pl.col("others_ratio") >= given["min_others_ratio"]),
        evidence={
            "account_status": pl.col("account_status"),
            "silent_top_user": pl.col("silent_top_user"),
            "silent_top_share": share,
            "others_ratio": pl.col("others_ratio"),
            "user_count": pl.col("user_count"),
            "used_28d": pl.col("used_28d"),
            "used_before_28d": pl.col("used_before_28d"),
            "active_user_count": pl.col("active_user_count"),
            "user_movers": pl.col("user_movers"),
        },
        sentence=pl.format(
            "{} had {} of the account's points and has had none for 14 days; "
            "the others are at {} of what they did.",
            pl.col("silent_top_user"),
            percent(share),
            percent(pl.col("others_ratio")),
        ),
    )


def _single_user_dependency(given: Parameters) -> Finding:
    """Several people could use it, one does."""
    share = pl.col("top_user_share")
    return Finding(
        scope=_is_under_contract(given["contract_grace_days"]),
        first=(share >= given["min_top_share"])
        & (pl.col("user_count") >= given["min_user_count"])
        & (pl.col("used_28d") >= given["min_used_days"]),
        rest=None,
        evidence={
            "account_status": pl.col("account_status"),
            "top_user_share": share,
            "user_count": pl.col("user_count"),
            "active_user_count": pl.col("active_user_count"),
            "used_28d": pl.col("used_28d"),
            "window_days": pl.col("window_days"),
            "user_movers": pl.col("user_movers"),
        },
        sentence=pl.format(
            "One user makes {} of the points; {} could.",
            percent(share),
            counted(pl.col("user_count") - 1, "other", "others"),
        ),
    )


def _trial_stalled(given: Parameters) -> Finding:
    """Half of the trial is over and it never got going."""
    trial_days = (pl.col("trial_ends_date") - pl.col("first_seen_date")).dt.total_days()
    gone_days = _days_since("first_seen_date")
    days_left = _days_until("trial_ends_date")
    return Finding(
        scope=_is_on_trial(),
        first=pl.col("readiness_rate") <= given["max_readiness_rate"],
        rest=(gone_days >= _exact(given["min_trial_share"] * trial_days))
        & (gone_days >= given["min_trial_days"]),
        evidence={
            "first_seen_date": pl.col("first_seen_date"),
            "trial_ends_date": pl.col("trial_ends_date"),
            "trial_days_left": days_left,
            "readiness_rate": pl.col("readiness_rate"),
            "active_day_count_14d": pl.col("active_day_count_14d"),
            "user_count": pl.col("user_count"),
            "active_user_count": pl.col("active_user_count"),
            "missing_steps": _step_keys("missing_steps"),
        },
        sentence=pl.format(
            "{} into the trial, which ends on {}: {} ready, in use on {} of the last 14 days{}.",
            counted(gone_days, "day", "days"),
            day(pl.col("trial_ends_date")),
            percent(pl.col("readiness_rate")),
            pl.col("active_day_count_14d"),
            _missing_clause(),
        ),
    )


def _renewal_at_risk(given: Parameters) -> Finding:
    """The contract ends soon, and another risk is open."""
    days_left = _days_until("contract_ends_date")
    return Finding(
        scope=_is_live() & days_left.is_between(0, given["max_days_left"]),
        first=pl.col("open_risk_level") >= given["min_other_severity"],
        rest=None,
        evidence={
            "account_status": pl.col("account_status"),
            "contract_ends_date": pl.col("contract_ends_date"),
            "contract_days_left": days_left,
            "other_severity": pl.col("open_risk_level"),
            **_use(28),
            "readiness_rate": pl.col("readiness_rate"),
        },
        sentence=pl.format(
            "The contract ends on {}, and a risk is open that is {} severe.",
            day(pl.col("contract_ends_date")),
            pl.when(pl.col("open_risk_level") >= len(SEVERITIES))
            .then(pl.lit("highly"))
            .when(pl.col("open_risk_level") > 1)
            .then(pl.lit("moderately"))
            .otherwise(pl.lit("mildly")),
        ),
    )


def _upsell_ready(given: Parameters) -> Finding:
    """More use than expected or many more points than usual, activated, and hardly a seat left.

    People who come every day cannot come more often, only do more: hence the points. A rise of the
    whole fleet is none of theirs, and a seat for one is always taken.
    """
    more_people = (pl.col("use_ratio_28d") >= given["min_use_ratio"]) & (
        pl.col("use_surprise_28d") <= -given["min_rise_surprise"]
    )
    usual = pl.col("points_usual_28d") * pl.max_horizontal(pl.lit(1.0), "fleet_ratio")
    more_points = (
        (pl.col("history_days") >= given["min_history_days"])
        & (usual > 0)
        & (pl.col("points_28d") >= _exact(given["min_points_ratio"] * usual))
    )
    full = _exact(
        pl.when(pl.col("seat_count") > 0).then(pl.col("user_count") / pl.col("seat_count"))
    )
    return Finding(
        scope=pl.col("account_status") == "paid",
        first=(pl.col("readiness_rate") >= given["min_readiness_rate"])
        & (pl.col("user_count") >= given["min_user_count"])
        & (full >= given["min_seat_share"]),
        rest=more_people.fill_null(value=False) | more_points.fill_null(value=False),
        evidence={
            "seat_count": pl.col("seat_count"),
            "user_count": pl.col("user_count"),
            "seat_share": full,
            **_use(28),
            "points_28d": _rounded("points_28d"),
            "points_usual_28d": _rounded("points_usual_28d"),
            "fleet_ratio": pl.col("fleet_ratio"),
            "readiness_rate": pl.col("readiness_rate"),
            **_level(),
            "event_movers": pl.col("event_movers"),
        },
        sentence=pl.format(
            "{} of {} seats are taken, {} ready, {}{}.",
            pl.col("user_count"),
            pl.col("seat_count"),
            percent(pl.col("readiness_rate")),
            pl.when(more_people.fill_null(value=False))
            .then(pl.format("and use is {} of what was expected", percent(pl.col("use_ratio_28d"))))
            .otherwise(
                pl.format(
                    "and {} points in 28 days instead of {}",
                    number(pl.col("points_28d")),
                    number(pl.col("points_usual_28d")),
                )
            ),
            _mover_clause("opportunity"),
        ),
    )


def _social_proof(given: Parameters) -> Finding:
    """Near the top of the fleet for months, activated, and nothing is wrong."""
    score = _trusted("engagement_score", "is_benchmark_thin")
    return Finding(
        scope=pl.col("account_status") == "paid",
        first=(score >= given["min_engagement_score"])
        & (pl.col("readiness_rate") >= given["min_readiness_rate"])
        & (pl.col("open_risk_level") == 0),
        rest=None,
        evidence={
            "engagement_score": score,
            "window_days": pl.col("window_days"),
            "readiness_rate": pl.col("readiness_rate"),
            "active_user_count": pl.col("active_user_count"),
            "user_count": pl.col("user_count"),
            "contract_started_date": pl.col("contract_started_date"),
        },
        sentence=pl.format(
            "Engagement score {} after {} above {} and {} ready, no risk open.",
            number(score),
            counted(pl.lit(int(given["min_days"])), "day", "days"),
            number(pl.lit(float(given["min_engagement_score"]))),
            percent(pl.col("readiness_rate")),
        ),
    )


def _user_fading(given: Parameters) -> Finding:
    """Somebody who came often hardly comes any more, while the account goes on."""
    usual = pl.col("usual_active_days_14d")
    others = pl.col("account_active_users_14d") - pl.col("active_day_count_14d")
    return Finding(
        scope=_is_live(),
        first=usual >= given["min_usual_days"],
        rest=(pl.col("active_day_count_14d") <= _exact(given["max_share"] * usual))
        & (others >= given["min_others_days"]),
        evidence={
            "account_status": pl.col("account_status"),
            "active_day_count_14d": pl.col("active_day_count_14d"),
            "usual_active_days_14d": _rounded("usual_active_days_14d"),
            "others_active_days_14d": others,
            "last_seen_date": pl.col("last_seen_date"),
        },
        sentence=pl.format(
            "Active on {} of the last 14 days instead of {}; last seen on {}.",
            pl.col("active_day_count_14d"),
            number(usual),
            day(pl.col("last_seen_date")),
        ),
    )


def _onboarding_gap(given: Parameters) -> Finding:
    """The account is set up, this member still comes, and was never shown the rest."""
    rate = pl.col("activation_rate")
    return Finding(
        scope=_is_live(),
        first=pl.col("account_activation_rate") >= given["min_account_activation_rate"],
        rest=(rate <= given["max_activation_rate"])
        & (pl.col("member_days") >= given["min_member_days"])
        & (pl.col("active_day_count_14d") >= given["min_active_days"]),
        evidence={
            "account_status": pl.col("account_status"),
            "account_activation_rate": pl.col("account_activation_rate"),
            "activation_rate": rate,
            "member_days": pl.col("member_days"),
            "active_day_count_14d": pl.col("active_day_count_14d"),
            "last_seen_date": pl.col("last_seen_date"),
        },
        sentence=pl.format(
            "{} activated after {} in an account that is {} activated; "
            "active on {} of the last 14 days.",
            percent(rate),
            counted(pl.col("member_days"), "day", "days"),
            percent(pl.col("account_activation_rate")),
            pl.col("active_day_count_14d"),
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
        scope=_is_live(),
        first=score >= given["min_engagement_score"],
        rest=(pl.col("active_day_count") >= given["min_active_day_count"])
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
                "max_use_ratio": 0.6,
                "min_history_days": 56,
                "min_long_surprise": 1.3,
                "min_recent_surprise": 2,
                "contract_grace_days": 30,
                **PERSISTENCE,
                "min_days": 5,
            },
            judge=_falling_engagement,
            rests_on_usage=True,
        ),
        Rule(
            key="dormant",
            entity="account",
            kind="risk",
            parameters={
                "min_silent_days": 14,
                "min_peer_days": 5,
                "max_use_share": 0.1,
                "min_expected_use": 8,
                "contract_grace_days": 30,
                **PERSISTENCE,
                "min_days": 7,
            },
            judge=_dormant,
            rests_on_usage=True,
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
                **PERSISTENCE,
                "min_days": 3,
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
                **PERSISTENCE,
            },
            judge=_stalled_activation,
        ),
        Rule(
            key="value_drift",
            entity="account",
            kind="risk",
            parameters={
                "min_readiness_drop": 0.15,
                "min_value_events": 8,
                "max_value_ratio": 0.3,
                "min_use_ratio": 0.8,
                "contract_grace_days": 30,
                **PERSISTENCE,
                "min_days": 3,
            },
            judge=_value_drift,
            rests_on_usage=True,
        ),
        Rule(
            key="flagship_unused",
            entity="account",
            kind="risk",
            parameters={
                "max_flagship_user_rate": 0,
                "min_age_days": 90,
                "contract_grace_days": 30,
                **PERSISTENCE,
                "min_days": 7,
            },
            judge=_flagship_unused,
        ),
        Rule(
            key="champion_gone",
            entity="account",
            kind="risk",
            parameters={
                "min_top_share": 0.5,
                "min_others_ratio": 0.5,
                "min_user_count": 4,
                "min_used_days": 8,
                "contract_grace_days": 30,
                **PERSISTENCE,
            },
            judge=_champion_gone,
            rests_on_usage=True,
        ),
        Rule(
            key="single_user_dependency",
            entity="account",
            kind="risk",
            parameters={
                "min_top_share": 0.8,
                "min_user_count": 4,
                "min_used_days": 8,
                "contract_grace_days": 30,
                **PERSISTENCE,
                "min_days": 14,
            },
            judge=_single_user_dependency,
            rests_on_usage=True,
        ),
        Rule(
            key="trial_stalled",
            entity="account",
            kind="risk",
            parameters={
                "min_trial_share": 0.5,
                "min_trial_days": 7,
                "max_readiness_rate": 0.4,
                **PERSISTENCE,
            },
            judge=_trial_stalled,
        ),
        Rule(
            key="renewal_at_risk",
            entity="account",
            kind="risk",
            parameters={"max_days_left": 90, "min_other_severity": 1, **PERSISTENCE},
            judge=_renewal_at_risk,
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
                **PERSISTENCE,
            },
            judge=_trial_ready_for_sales,
        ),
        Rule(
            key="upsell_ready",
            entity="account",
            kind="opportunity",
            parameters={
                "min_use_ratio": 1.15,
                "min_rise_surprise": 1,
                "min_points_ratio": 1.5,
                "min_history_days": 112,
                "min_user_count": 2,
                "min_readiness_rate": 0.7,
                "min_seat_share": 0.9,
                **PERSISTENCE,
                "min_days": 3,
            },
            judge=_upsell_ready,
        ),
        Rule(
            key="social_proof",
            entity="account",
            kind="opportunity",
            parameters={
                "min_engagement_score": 75,
                "min_readiness_rate": 0.75,
                **PERSISTENCE,
                "min_days": 60,
            },
            judge=_social_proof,
        ),
        Rule(
            key="user_fading",
            entity="user",
            kind="risk",
            parameters={
                "min_usual_days": 5,
                "max_share": 0.2,
                "min_others_days": 5,
                **PERSISTENCE,
                "min_days": 3,
            },
            judge=_user_fading,
            rests_on_usage=True,
        ),
        Rule(
            key="onboarding_gap",
            entity="user",
            kind="opportunity",
            parameters={
                "min_account_activation_rate": 0.8,
                "max_activation_rate": 0.5,
                "min_member_days": 14,
                "min_active_days": 2,
                **PERSISTENCE,
            },
            judge=_onboarding_gap,
        ),
        Rule(
            key="champion",
            entity="user",
            kind="opportunity",
            parameters={
                "min_engagement_score": 90,
                "min_active_day_count": 10,
                "min_activation_rate": 0.75,
                **PERSISTENCE,
                "close_after_days": 14,
            },
            judge=_champion,
        ),
    )
}


def describe(opened: pl.DataFrame, rule: Rule, dial: RuleDial, fingerprint: str) -> pl.DataFrame:
    """Say why flags of one rule were raised.

    Args:
        opened: One row per flag: its entity's keys, and of `facts.FACTS` on the day on which it
            opened those that the rule shows.
        rule: The rule.
        dial: Its row of `flag_rules.csv`.
        fingerprint: Of all dials in force.

    Returns:
        The same rows: the keys, `flag_key`, `sentence` and `evidence`.
    """
    parameters = rule.given(dial)
    finding = rule.judge(parameters)
    facts = FACTS[rule.entity]
    known = pl.Schema({name: facts[name] for name in facts if name in opened.columns})
    shown = opened.cast(known).select("as_of_date", **finding.evidence)
    return opened.select(
        *KEYS[rule.entity],
        flag_key=pl.lit(rule.key),
        sentence=finding.sentence,
        evidence=evidence_texts(shown, parameters, fingerprint),
    )
