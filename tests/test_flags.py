"""Flags: every rule at its thresholds, evidence and sentence by hand, and laws of all rules."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from orchestration.signals import watch
from orchestration.signals.evidence import evidence_texts, plain
from orchestration.signals.facts import (
    ALL_CELLS,
    DAYS,
    FACTS,
    KEYS,
    Block,
    Entity,
    Facts,
    Fleet,
)
from orchestration.signals.flags import RULES, Rule, describe

AS_OF = date(2026, 3, 31)


@dataclass(frozen=True)
class Dial:
    """A row of flag_rules.csv with the defaults of a test."""

    flag_key: str
    kind: str = "risk"
    severity: str = "high"
    is_enabled: bool = True
    parameters: dict[str, float | int | bool] = field(default_factory=dict)
    title: str = "A title"
    playbook: str = "What to do"


def before(days: int) -> date:
    return AS_OF - timedelta(days=days)


def flagship(step_key: str, rate: float | None, level: str = "user") -> dict[str, Any]:
    name = step_key.replace("_", " ").capitalize()
    return {"step_key": step_key, "step_name": name, "level": level, "completed_rate": rate}


# An account and a user that raise nothing; each test changes what it is about.
QUIET_ACCOUNT: dict[str, Any] = {
    "account_id": "acme",
    "account_status": "paid",
    "missing_steps": "",
    "flagship_steps": [],
    "flagship_rates": [],
    "event_movers": [],
    "user_movers": [],
    "active_user_count": 4,
    "user_count": 5,
    "engagement_score": 40.0,
    "engagement_score_avg": 40.0,
    "window_days": 30,
    "activation_rate": 1.0,
    "user_activation_rate": 0.8,
    "readiness_rate": 0.9,
    "weeks_observed": 30,
    "points_now": 100.0,
    "points_baseline": 100.0,
    "baseline_ratio": 1.0,
    "slope_points_per_week": 0.0,
    "history_days": 200,
    "days_since_active": 1,
    "active_day_count_14d": 9,
    **{f"used_{days}d": days / 2 for days in (14, 28, 56)},
    **{f"expected_{days}d": days / 2 for days in (14, 28, 56)},
    **{f"use_ratio_{days}d": 1.0 for days in (14, 28, 56)},
    **{f"use_surprise_{days}d": 0.0 for days in (14, 28, 56)},
    "typical_use_56d": 30.0,
    "peer_days_in_silence": 0.5,
    "expected_in_silence": 0.5,
    "fleet_ratio": 0.96,
    "readiness_peak_56d": 0.95,
    "points_28d": 100.0,
    "points_usual_28d": 100.0,
    "value_count_28d": 20,
    "value_usual_28d": 20.0,
    "top_user_share": 0.4,
    "silent_top_user": "ann",
    "silent_top_share": 0.1,
    "others_ratio": 1.0,
    "used_before_28d": 14.0,
    "seat_count": 10,
    "open_risk_level": 0,
    "is_benchmark_thin": False,
    "is_user_benchmark_thin": False,
    "trial_ends_date": None,
    "contract_started_date": before(200),
    "contract_ends_date": None,
    "first_seen_date": before(209),
    "last_seen_date": before(1),
    "last_points_date": before(1),
    "as_of_date": AS_OF,
}
QUIET_USER: dict[str, Any] = {
    "account_id": "acme",
    "user_id": "ann",
    "account_status": "paid",
    "active_day_count": 5,
    "engagement_points": 20.0,
    "account_engagement_points": 100.0,
    "engagement_score": 40.0,
    "window_days": 30,
    "activation_rate": 0.6,
    "member_days": 100,
    "active_day_count_14d": 3,
    "usual_active_days_14d": 3.0,
    "account_active_users_14d": 20.0,
    "account_activation_rate": 1.0,
    "is_benchmark_thin": False,
    "last_seen_date": before(1),
    "as_of_date": AS_OF,
}

FALLING = {
    "points_now": 42.0,
    "points_baseline": 100.0,
    "baseline_ratio": 0.42,
    "slope_points_per_week": -8.5,
    "used_14d": 5.0,
    "expected_14d": 10.0,
    "use_ratio_14d": 0.5,
    "use_surprise_14d": 1.2,
    "used_28d": 8.0,
    "expected_28d": 20.0,
    "use_ratio_28d": 0.4,
    "use_surprise_28d": 1.9,
    "used_56d": 20.0,
    "expected_56d": 40.0,
    "use_ratio_56d": 0.5,
    "use_surprise_56d": 2.4,
    "event_movers": [
        {"name": "report_created", "before": 31.0, "now": 6.0},
        {"name": "video_shared", "before": 9.0, "now": 4.5},
    ],
    "user_movers": [{"name": "ann", "before": 50.0, "now": 0.0}],
    "last_seen_date": before(9),
}
# The recent, clear way: the long windows say nothing.
PLUNGING = {**FALLING, "use_surprise_56d": 1.2, "use_surprise_28d": 2.0}
SUDDEN = {**FALLING, "use_ratio_28d": 0.8, "use_ratio_56d": 0.9}
DORMANT = {
    "last_points_date": before(21),
    "last_seen_date": before(2),
    "days_since_active": 21,
    "peer_days_in_silence": 9.25,
    "expected_in_silence": 11.0,
    "used_56d": 14.0,
}
BUSY = {
    "engagement_score": 93.4,
    "activation_rate": 0.5,
    "user_activation_rate": 0.25,
    "readiness_rate": 0.375,
    "missing_steps": "branding_on,sso_on",
    "active_user_count": 312,
    "flagship_steps": [
        flagship("ai_edited", 0.0),
        flagship("branding_on", 0.0, "account"),
        flagship("shared", 0.8),
        flagship("statistics_opened", 0.1),
    ],
    "flagship_rates": [0.0, 0.0, 0.1, 0.8],
}
STALLED = {
    "activation_rate": 0.5,
    "user_activation_rate": 0.7,
    "readiness_rate": 0.6,
    "missing_steps": "sso_on,team_invited",
    "contract_started_date": before(184),
}
READY_TRIAL = {
    "account_status": "trial",
    "trial_ends_date": AS_OF + timedelta(days=6),
    "contract_started_date": None,
    "readiness_rate": 0.8,
    "engagement_score": 12.0,
    "engagement_score_avg": 71.55,
}
CHAMPION = {
    "engagement_score": 96.2,
    "active_day_count": 21,
    "engagement_points": 45.0,
    "activation_rate": 1.0,
}
DRIFTING = {"value_count_28d": 6, "value_usual_28d": 29.0, "use_ratio_28d": 0.92}
UNUSED = {
    "flagship_steps": [flagship("ai_edited", 0.0), flagship("shared", 0.8)],
    "flagship_rates": [0.0, 0.8],
}
CHAMPION_GONE = {
    "silent_top_share": 0.54,
    "others_ratio": 1.03,
    "user_movers": [{"name": "ben", "before": 5.0, "now": 90.0}],
}
ONE_USER = {"top_user_share": 0.85}
STALLED_TRIAL = {
    "account_status": "trial",
    "first_seen_date": before(16),
    "trial_ends_date": AS_OF + timedelta(days=15),
    "readiness_rate": 0.12,
    "missing_steps": "invited",
}
RENEWAL = {"contract_ends_date": AS_OF + timedelta(days=45), "open_risk_level": 2}
UPSELL = {
    "use_ratio_28d": 1.22,
    "use_surprise_28d": -1.5,
    "user_count": 9,
    "event_movers": [{"name": "video_viewed", "before": 9.4, "now": 22.3}],
}
MORE_POINTS = {**UPSELL, "use_ratio_28d": 1.0, "use_surprise_28d": 0.0, "points_28d": 150.0}
PROOF = {"engagement_score": 88.0}
FADING_USER = {"usual_active_days_14d": 6.5, "active_day_count_14d": 1}
GAP = {"activation_rate": 0.25}
STORIES: dict[str, dict[str, Any]] = {
    "value_drift": DRIFTING,
    "flagship_unused": UNUSED,
    "champion_gone": CHAMPION_GONE,
    "single_user_dependency": ONE_USER,
    "trial_stalled": STALLED_TRIAL,
    "renewal_at_risk": RENEWAL,
    "upsell_ready": UPSELL,
    "social_proof": PROOF,
    "user_fading": FADING_USER,
    "onboarding_gap": GAP,
    "falling_engagement": FALLING,
    "dormant": DORMANT,
    "high_engagement_low_activation": BUSY,
    "stalled_activation": STALLED,
    "trial_ready_for_sales": READY_TRIAL,
    "champion": CHAMPION,
}


def facts(entity: Entity, *rows: Mapping[str, Any]) -> pl.DataFrame:
    quiet = QUIET_ACCOUNT if entity == "account" else QUIET_USER
    return pl.DataFrame([{**quiet, **row} for row in rows], schema=FACTS[entity])


def flags_of(rule_key: str, row: Mapping[str, Any], **parameters: float) -> list[dict[str, Any]]:
    """The flags that one rule raises for one entity on one day."""
    rule, dial = RULES[rule_key], Dial(rule_key, parameters=parameters)
    finding = rule.judge(rule.given(dial))
    frame = facts(rule.entity, row)
    judged = frame.select(DAYS[rule.entity].names())  # no more is known of an ordinary day
    is_held = judged.select((finding.scope & finding.condition).fill_null(value=False))
    held = frame.filter(is_held.to_series())
    return describe(held, rule, dial, "f00d").rows(named=True)


def is_raised(rule: str, row: Mapping[str, Any], **parameters: float) -> bool:
    return bool(flags_of(rule, row, **parameters))


@pytest.mark.parametrize("rule", RULES)
def test_the_quiet_raise_nothing(rule: str) -> None:
    assert not is_raised(rule, {})


@pytest.mark.parametrize(
    ("rule", "change", "expected"),
    [
        # falling_engagement: 56 days known, whatever the way.
        ("falling_engagement", {}, True),
        ("falling_engagement", {"history_days": 56}, True),
        ("falling_engagement", {"history_days": 55}, False),
        ("falling_engagement", {**PLUNGING, "history_days": 56}, True),
        ("falling_engagement", {**PLUNGING, "history_days": 55}, False),
        ("falling_engagement", {**SUDDEN, "use_surprise_14d": 2.0, "history_days": 55}, False),
        # The long way: 0.6 over 56 and 28 days, surprise 1.3.
        ("falling_engagement", {"use_ratio_56d": 0.6, "use_ratio_28d": 0.6}, True),
        ("falling_engagement", {"use_ratio_56d": 0.600001}, False),
        ("falling_engagement", {"use_ratio_28d": 0.600001}, False),  # recovering
        ("falling_engagement", {"use_surprise_56d": 1.3}, True),
        ("falling_engagement", {"use_surprise_56d": 1.299999}, False),
        ("falling_engagement", {"use_ratio_14d": 9.0}, True),
        # The recent way: 0.6 over 28 and 14 days, surprise 2, whatever was before.
        ("falling_engagement", PLUNGING, True),
        ("falling_engagement", {**PLUNGING, "use_surprise_28d": 1.999999}, False),
        ("falling_engagement", {**PLUNGING, "use_ratio_28d": 0.6, "use_ratio_14d": 0.6}, True),
        ("falling_engagement", {**PLUNGING, "use_ratio_28d": 0.600001}, False),
        ("falling_engagement", {**PLUNGING, "use_ratio_14d": 0.600001}, False),
        # Two weeks are enough when they are as clear.
        ("falling_engagement", {**SUDDEN, "use_surprise_14d": 2.0}, True),
        ("falling_engagement", {**SUDDEN, "use_surprise_14d": 1.999999}, False),
        ("falling_engagement", {**SUDDEN, "use_surprise_14d": 9.0, "use_ratio_14d": 0.61}, False),
        # It compares the account with itself: the fleet may be small.
        ("falling_engagement", {"is_benchmark_thin": True}, True),
        ("falling_engagement", {"account_status": "trial"}, True),
        ("falling_engagement", {"account_status": "unknown"}, True),
        # dormant: silent for 14 days on which peers had 5 full days of use; nearly gone before
        # (a tenth of what its members would have used), or 8 days of its own use missed.
        ("dormant", {}, True),
        ("dormant", {"days_since_active": 14}, True),
        ("dormant", {"days_since_active": 13}, False),
        ("dormant", {"peer_days_in_silence": 5.0}, True),
        ("dormant", {"peer_days_in_silence": 4.999}, False),  # everybody was away
        ("dormant", {"expected_in_silence": 8.0}, True),
        ("dormant", {"expected_in_silence": 7.999}, False),
        ("dormant", {"expected_in_silence": 1.0, "used_56d": 3.0}, True),  # a tenth of 30
        ("dormant", {"expected_in_silence": 1.0, "used_56d": 4.0}, False),
        ("dormant", {"days_since_active": None}, False),  # never woke up
        ("dormant", {"account_status": "trial"}, True),
        # high_engagement_low_activation: score from 75, and a low rate or three flagships.
        ("high_engagement_low_activation", {}, True),
        ("high_engagement_low_activation", {"engagement_score": 75.0}, True),
        ("high_engagement_low_activation", {"engagement_score": 74.999999}, False),
        ("high_engagement_low_activation", {"is_benchmark_thin": True}, False),
        ("high_engagement_low_activation", {"is_benchmark_thin": None}, False),
        ("high_engagement_low_activation", {"first_seen_date": before(13)}, True),
        ("high_engagement_low_activation", {"first_seen_date": before(12)}, False),
        (
            "high_engagement_low_activation",
            {"activation_rate": 0.9, "readiness_rate": 0.6},
            True,  # the three flagships
        ),
        (
            "high_engagement_low_activation",
            {"flagship_rates": [], "activation_rate": 0.5, "readiness_rate": 0.6},
            True,  # the account's own steps
        ),
        (
            "high_engagement_low_activation",
            {"flagship_rates": [], "activation_rate": 0.9, "readiness_rate": 0.5},
            True,  # its members
        ),
        (
            "high_engagement_low_activation",
            {
                "activation_rate": 0.500001,
                "readiness_rate": 0.500001,
                "flagship_rates": [0.0, 0.1, 0.100001, 1.0, float("nan")],
            },
            False,  # two flagships
        ),
        ("high_engagement_low_activation", {"flagship_rates": None}, True),
        (
            "high_engagement_low_activation",
            {"flagship_rates": None, "activation_rate": None, "readiness_rate": None},
            False,
        ),
        # stalled_activation: half or less at 180 days of contract.
        ("stalled_activation", {}, True),
        ("stalled_activation", {"contract_started_date": before(180)}, True),
        ("stalled_activation", {"contract_started_date": before(179)}, False),
        ("stalled_activation", {"contract_started_date": None}, False),
        ("stalled_activation", {"activation_rate": 0.500001}, False),
        ("stalled_activation", {"activation_rate": 1.0, "readiness_rate": 0.5}, True),
        ("stalled_activation", {"activation_rate": None, "readiness_rate": 0.5}, True),
        ("stalled_activation", {"activation_rate": None, "readiness_rate": None}, False),
        # trial_ready_for_sales: 0.6 ready, score 50, two active users, points within a week.
        ("trial_ready_for_sales", {}, True),
        ("trial_ready_for_sales", {"account_status": "paid"}, False),
        ("trial_ready_for_sales", {"account_status": "expired"}, False),
        ("trial_ready_for_sales", {"readiness_rate": 0.6}, True),
        ("trial_ready_for_sales", {"readiness_rate": 0.599999}, False),
        ("trial_ready_for_sales", {"readiness_rate": None}, False),
        ("trial_ready_for_sales", {"engagement_score_avg": 50.0}, True),
        ("trial_ready_for_sales", {"engagement_score_avg": 49.999999}, False),
        ("trial_ready_for_sales", {"engagement_score_avg": None, "engagement_score": 50.0}, True),
        ("trial_ready_for_sales", {"is_user_benchmark_thin": True}, False),
        ("trial_ready_for_sales", {"is_benchmark_thin": True}, True),
        (
            "trial_ready_for_sales",
            {"is_benchmark_thin": True, "engagement_score": 99.0, "engagement_score_avg": 40.0},
            False,
        ),
        ("trial_ready_for_sales", {"active_user_count": 2}, True),
        ("trial_ready_for_sales", {"active_user_count": 1}, False),
        ("trial_ready_for_sales", {"last_points_date": before(7)}, True),
        ("trial_ready_for_sales", {"last_points_date": before(8)}, False),
        ("trial_ready_for_sales", {"trial_ends_date": None}, True),
        # value_drift: a drop of 0.15, or flagship events at 0.3 of 8 or more; use at 0.8.
        ("value_drift", {}, True),
        ("value_drift", {"use_ratio_28d": 0.8}, True),
        ("value_drift", {"use_ratio_28d": 0.799999}, False),  # then it is a fall of use
        ("value_drift", {"value_count_28d": 3, "value_usual_28d": 10.0}, True),
        ("value_drift", {"value_count_28d": 4, "value_usual_28d": 10.0}, False),
        ("value_drift", {"value_count_28d": 0, "value_usual_28d": 7.99}, False),
        ("value_drift", {"value_count_28d": 4, "value_usual_28d": 40 / 3}, True),
        ("value_drift", {"value_count_28d": 7, "value_usual_28d": 70 / 3}, True),
        (
            "value_drift",
            {"value_count_28d": 29, "readiness_peak_56d": 0.95, "readiness_rate": 0.8},
            True,
        ),
        (
            "value_drift",
            {"value_count_28d": 29, "readiness_peak_56d": 0.75, "readiness_rate": 0.5},
            True,
        ),
        (
            "value_drift",
            {"value_count_28d": 29, "readiness_peak_56d": 0.75, "readiness_rate": 0.625},
            False,
        ),
        # flagship_unused: nobody did it, 90 days, and the product is in use.
        ("flagship_unused", {}, True),
        ("flagship_unused", {"flagship_rates": [0.001, 0.8]}, False),
        ("flagship_unused", {"flagship_rates": []}, False),
        ("flagship_unused", {"first_seen_date": before(89)}, True),
        ("flagship_unused", {"first_seen_date": before(88)}, False),
        ("flagship_unused", {"used_28d": 0.0}, False),
        # champion_gone: half of the points silent, the others at half of theirs, 8 user-days.
        ("champion_gone", {"silent_top_share": 0.5}, True),
        ("champion_gone", {"silent_top_share": 0.499999}, False),
        ("champion_gone", {"others_ratio": 0.5}, True),
        ("champion_gone", {"others_ratio": 0.499999}, False),  # everybody went
        ("champion_gone", {"others_ratio": None}, False),
        ("champion_gone", {"used_28d": 8.0}, True),
        ("champion_gone", {"used_28d": 7.0}, False),
        ("champion_gone", {"used_before_28d": 8.0}, True),
        ("champion_gone", {"used_before_28d": 7.0}, False),  # half of next to nothing
        ("champion_gone", {"user_count": 4}, True),
        ("champion_gone", {"user_count": 3}, False),  # two others are no team that goes on
        # single_user_dependency: 0.8 of the points, 4 members.
        ("single_user_dependency", {"top_user_share": 0.8}, True),
        ("single_user_dependency", {"top_user_share": 0.799999}, False),
        ("single_user_dependency", {"user_count": 4}, True),
        ("single_user_dependency", {"user_count": 3}, False),
        ("single_user_dependency", {"used_28d": 7.0}, False),
        # trial_stalled: half of the trial gone, a week at least, 0.4 ready.
        ("trial_stalled", {}, True),
        ("trial_stalled", {"trial_ends_date": AS_OF + timedelta(days=16)}, True),
        ("trial_stalled", {"trial_ends_date": AS_OF + timedelta(days=17)}, False),
        ("trial_stalled", {"trial_ends_date": None}, False),
        ("trial_stalled", {"first_seen_date": before(6), "trial_ends_date": AS_OF}, False),
        ("trial_stalled", {"readiness_rate": 0.4}, True),
        ("trial_stalled", {"readiness_rate": 0.400001}, False),
        ("trial_stalled", {"account_status": "paid"}, False),
        # renewal_at_risk: 90 days, another risk.
        ("renewal_at_risk", {"contract_ends_date": AS_OF + timedelta(days=90)}, True),
        ("renewal_at_risk", {"contract_ends_date": AS_OF + timedelta(days=91)}, False),
        ("renewal_at_risk", {"contract_ends_date": AS_OF}, True),
        ("renewal_at_risk", {"contract_ends_date": before(1)}, False),
        ("renewal_at_risk", {"contract_ends_date": None}, False),
        ("renewal_at_risk", {"open_risk_level": 1}, True),
        ("renewal_at_risk", {"open_risk_level": 0}, False),
        # upsell_ready: paid, 1.15 of expected use, more than chance, 0.7 ready, 0.9 of the seats.
        ("upsell_ready", {}, True),
        ("upsell_ready", {"account_status": "trial"}, False),
        ("upsell_ready", {"use_ratio_28d": 1.149999}, False),
        ("upsell_ready", {"use_surprise_28d": -0.999}, False),
        ("upsell_ready", {"readiness_rate": 0.699999}, False),
        ("upsell_ready", {"user_count": 8}, False),
        ("upsell_ready", {"seat_count": None}, False),
        ("upsell_ready", {"seat_count": 0}, False),
        ("upsell_ready", {"seat_count": 2, "user_count": 2}, True),
        ("upsell_ready", {"seat_count": 1, "user_count": 1}, False),  # one seat is always taken
        # Or half as many points again as usual, where there are 16 weeks to compare, and more than
        # the fleet has more.
        ("upsell_ready", MORE_POINTS, True),
        ("upsell_ready", {**MORE_POINTS, "points_28d": 149.999}, False),
        ("upsell_ready", {**MORE_POINTS, "history_days": 112}, True),
        ("upsell_ready", {**MORE_POINTS, "history_days": 111}, False),
        ("upsell_ready", {**MORE_POINTS, "fleet_ratio": 1.2}, False),
        ("upsell_ready", {**MORE_POINTS, "fleet_ratio": 1.2, "points_28d": 180.0}, True),
        ("upsell_ready", {**MORE_POINTS, "fleet_ratio": 0.5, "points_28d": 149.0}, False),
        ("upsell_ready", {**MORE_POINTS, "fleet_ratio": None}, True),
        ("upsell_ready", {**MORE_POINTS, "points_usual_28d": 0.0}, False),
        ("upsell_ready", {**MORE_POINTS, "use_ratio_28d": None, "use_surprise_28d": None}, True),
        # social_proof: paid, score 75, 0.75 ready, nothing wrong.
        ("social_proof", {"engagement_score": 75.0}, True),
        ("social_proof", {"engagement_score": 74.999999}, False),
        ("social_proof", {"is_benchmark_thin": True}, False),
        ("social_proof", {"readiness_rate": 0.749999}, False),
        ("social_proof", {"open_risk_level": 1}, False),
        ("social_proof", {"account_status": "trial"}, False),
        # user_fading: 5 days a fortnight, now a fifth, and the account goes on.
        ("user_fading", {}, True),
        ("user_fading", {"usual_active_days_14d": 5.0}, True),
        ("user_fading", {"usual_active_days_14d": 4.999999}, False),
        ("user_fading", {"active_day_count_14d": 2}, False),
        ("user_fading", {"account_active_users_14d": 6.0}, True),
        ("user_fading", {"account_active_users_14d": 5.0}, False),
        # onboarding_gap: account 0.8, member half at most, two weeks there, comes.
        ("onboarding_gap", {}, True),
        ("onboarding_gap", {"account_activation_rate": 0.8}, True),
        ("onboarding_gap", {"account_activation_rate": 0.799999}, False),
        ("onboarding_gap", {"activation_rate": 0.5}, True),
        ("onboarding_gap", {"activation_rate": 0.500001}, False),
        ("onboarding_gap", {"activation_rate": None}, False),
        ("onboarding_gap", {"member_days": 14}, True),
        ("onboarding_gap", {"member_days": 13}, False),
        ("onboarding_gap", {"active_day_count_14d": 1}, False),
        # champion: score 90, ten days, three quarters activated.
        ("champion", {}, True),
        ("champion", {"engagement_score": 90.0}, True),
        ("champion", {"engagement_score": 89.999999}, False),
        ("champion", {"is_benchmark_thin": True}, False),
        ("champion", {"is_benchmark_thin": None}, False),
        ("champion", {"active_day_count": 10}, True),
        ("champion", {"active_day_count": 9}, False),
        ("champion", {"activation_rate": 0.75}, True),
        ("champion", {"activation_rate": 0.749999}, False),
        ("champion", {"activation_rate": None}, True),  # no user step applies
        ("champion", {"account_engagement_points": None}, True),
    ],
)
def test_rule_at_its_thresholds(rule: str, change: dict[str, Any], expected: bool) -> None:
    assert is_raised(rule, {**STORIES[rule], **change}) is expected


@pytest.mark.parametrize("status", ["canceled", "expired"])
@pytest.mark.parametrize("rule", RULES)
def test_who_has_gone_raises_nothing(rule: str, status: str) -> None:
    assert not is_raised(rule, {**STORIES[rule], "account_status": status})


@pytest.mark.parametrize("rule", ["falling_engagement", "dormant", "stalled_activation"])
@pytest.mark.parametrize(
    ("contract_ends_date", "expected"),
    [(AS_OF + timedelta(days=90), True), (before(30), True), (before(31), False)],
)
def test_a_contract_that_ran_out_is_no_risk_after_the_grace(
    rule: str, contract_ends_date: date, expected: bool
) -> None:
    row = {**STORIES[rule], "contract_ends_date": contract_ends_date}
    assert is_raised(rule, row) is expected
    assert is_raised(rule, row, contract_grace_days=31)


@pytest.mark.parametrize("rule", RULES)
def test_facts_that_are_all_null_raise_nothing(rule: str) -> None:
    entity = RULES[rule].entity
    nothing = dict.fromkeys(FACTS[entity].names()) | {"account_id": "acme", "user_id": "ann"}
    row = {name: nothing[name] for name in FACTS[entity]} | {"account_status": "paid"}
    assert not is_raised(rule, row)


@pytest.mark.parametrize(
    ("rule", "parameter", "value"),
    [
        ("value_drift", "min_value_events", 30),
        ("value_drift", "max_value_ratio", 0.2),
        ("value_drift", "min_use_ratio", 0.93),
        ("flagship_unused", "min_age_days", 211),
        ("champion_gone", "min_top_share", 0.55),
        ("champion_gone", "min_others_ratio", 1.04),
        ("champion_gone", "min_used_days", 15),
        ("champion_gone", "min_user_count", 6),
        ("single_user_dependency", "min_top_share", 0.86),
        ("single_user_dependency", "min_user_count", 6),
        ("single_user_dependency", "min_used_days", 15),
        ("trial_stalled", "min_trial_share", 0.52),
        ("trial_stalled", "min_trial_days", 17),
        ("trial_stalled", "max_readiness_rate", 0.11),
        ("renewal_at_risk", "max_days_left", 44),
        ("renewal_at_risk", "min_other_severity", 3),
        ("upsell_ready", "min_use_ratio", 1.23),
        ("upsell_ready", "min_rise_surprise", 1.6),
        ("upsell_ready", "min_user_count", 10),
        ("upsell_ready", "min_readiness_rate", 0.91),
        ("upsell_ready", "min_seat_share", 0.91),
        ("social_proof", "min_engagement_score", 89),
        ("social_proof", "min_readiness_rate", 0.91),
        ("user_fading", "min_usual_days", 7),
        ("user_fading", "max_share", 0.1),
        ("user_fading", "min_others_days", 20),
        ("onboarding_gap", "min_account_activation_rate", 1.01),
        ("onboarding_gap", "max_activation_rate", 0.24),
        ("onboarding_gap", "min_member_days", 101),
        ("onboarding_gap", "min_active_days", 4),
        ("falling_engagement", "max_use_ratio", 0.39),
        ("falling_engagement", "min_history_days", 201),
        ("falling_engagement", "min_long_surprise", 2.5),
        ("dormant", "min_silent_days", 22),
        ("dormant", "min_peer_days", 10),
        ("dormant", "min_expected_use", 12),
        ("high_engagement_low_activation", "min_engagement_score", 94),
        ("high_engagement_low_activation", "min_age_days", 211),
        ("stalled_activation", "min_contract_days", 185),
        ("stalled_activation", "max_activation_rate", 0.49),
        ("trial_ready_for_sales", "min_readiness_rate", 0.81),
        ("trial_ready_for_sales", "min_engagement_score", 72),
        ("trial_ready_for_sales", "min_active_user_count", 5),
        ("trial_ready_for_sales", "max_silent_days", 0),
        ("champion", "min_engagement_score", 97),
        ("champion", "min_active_day_count", 22),
        ("champion", "min_activation_rate", 1.01),
    ],
)
def test_a_threshold_of_the_dial_goes_over_the_default(
    rule: str, parameter: str, value: float
) -> None:
    assert parameter in RULES[rule].parameters
    assert is_raised(rule, STORIES[rule])
    assert not is_raised(rule, STORIES[rule], **{parameter: value})


def test_more_points_have_their_thresholds() -> None:
    assert not is_raised("upsell_ready", MORE_POINTS, min_points_ratio=1.51)
    assert not is_raised("upsell_ready", MORE_POINTS, min_history_days=201)


def test_both_ways_to_low_activation_have_their_threshold() -> None:
    rule = "high_engagement_low_activation"
    assert not is_raised(rule, BUSY, max_activation_rate=0.3, min_missing_flagship_steps=4)
    assert is_raised(rule, BUSY, max_activation_rate=0.3, min_missing_flagship_steps=3)
    assert not is_raised(rule, BUSY, max_activation_rate=0.3, max_flagship_user_rate=0.09)
    assert is_raised(rule, BUSY, max_activation_rate=0.375, min_missing_flagship_steps=4)


@pytest.mark.parametrize(
    ("rule", "change", "expected"),
    [
        (
            "falling_engagement",
            {},
            (
                "Use fell 60 % below what its own habit and its peers' calendar lead to expect "
                "(fleet: -4 %): 8 active user-days instead of 20 in 28 days; "
                "report_created 31 → 6 a week; last seen on 2026-03-22."
            ),
        ),
        (
            "falling_engagement",
            {"used_28d": 1.0, "event_movers": None, "fleet_ratio": None, "last_seen_date": AS_OF},
            (
                "Use fell 60 % below what its own habit and its peers' calendar lead to expect: "
                "1 active user-day instead of 20 in 28 days; last seen on 2026-03-31."
            ),
        ),
        (
            "falling_engagement",
            {
                **SUDDEN,
                "use_surprise_14d": 2.5,
                "event_movers": [
                    {"name": "video_viewed", "before": 40.0, "now": 58.0},
                    {"name": "video_shared", "before": 9.0, "now": 4.5},
                ],
            },
            (
                "Use fell 50 % below what its own habit and its peers' calendar lead to expect "
                "(fleet: -4 %): 5 active user-days instead of 10 in 14 days; "
                "video_shared 9 → 4.5 a week; last seen on 2026-03-22."
            ),
        ),
        (
            "dormant",
            {},
            (
                "No points since 2026-03-10, for 21 days, of which a member of its peers came on "
                "9.3; account status: paid."
            ),
        ),
        (
            "dormant",
            {"days_since_active": 20},
            (
                "No points since 2026-03-10, for 20 days (and 1 day with a gap in the data), of "
                "which a member of its peers came on 9.3; account status: paid."
            ),
        ),
        (
            "high_engagement_low_activation",
            {},
            (
                "Engagement score 93.4, but 38 % activated (own steps 50 %, people 25 %); "
                "flagship steps missing: Ai edited, Branding on, Statistics opened."
            ),
        ),
        (
            "high_engagement_low_activation",
            {"flagship_steps": None},
            (
                "Engagement score 93.4, but 38 % activated (own steps 50 %, people 25 %); "
                "missing: branding_on, sso_on."
            ),
        ),
        (
            "high_engagement_low_activation",
            {"flagship_steps": [], "missing_steps": ""},
            "Engagement score 93.4, but 38 % activated (own steps 50 %, people 25 %).",
        ),
        (
            "high_engagement_low_activation",
            {"activation_rate": None, "readiness_rate": None},
            (
                "Engagement score 93.4, but activation is not measured; "
                "flagship steps missing: Ai edited, Branding on, Statistics opened."
            ),
        ),
        (
            "stalled_activation",
            {},
            "50 % activated 184 days after the contract started; missing: sso_on, team_invited.",
        ),
        (
            "stalled_activation",
            {"missing_steps": None},
            "50 % activated 184 days after the contract started.",
        ),
        (
            "stalled_activation",
            {"activation_rate": 0.6, "user_activation_rate": 0.25, "readiness_rate": 0.425},
            (
                "43 % activated (own steps 60 %, people 25 %) 184 days after the contract started; "
                "missing: sso_on, team_invited."
            ),
        ),
        (
            "stalled_activation",
            {"activation_rate": None, "user_activation_rate": 0.25, "readiness_rate": 0.25},
            ("25 % activated 184 days after the contract started; missing: sso_on, team_invited."),
        ),
        (
            "trial_ready_for_sales",
            {},
            (
                "Trial ends on 2026-04-06: 80 % ready, its people's mean score 71.6, "
                "4 of 5 users active."
            ),
        ),
        (
            "trial_ready_for_sales",
            {"engagement_score": 88.0},
            "Trial ends on 2026-04-06: 80 % ready, engagement score 88, 4 of 5 users active.",
        ),
        (
            "trial_ready_for_sales",
            {"trial_ends_date": None},
            (
                "Trial without an end date: 80 % ready, its people's mean score 71.6, "
                "4 of 5 users active."
            ),
        ),
        (
            "champion",
            {},
            (
                "Engagement score 96.2, active on 21 of 30 days, 100 % activated; "
                "brings 45 % of the account's points."
            ),
        ),
        (
            "value_drift",
            {},
            (
                "Use goes on (92 % of what was expected), but flagship events came 6 times in 28 "
                "days instead of 29."
            ),
        ),
        (
            "value_drift",
            {"readiness_peak_56d": 1.0, "readiness_rate": 0.5, "value_count_28d": 20},
            "Use goes on (92 % of what was expected), but readiness is 50 % after 100 %.",
        ),
        (
            "value_drift",
            {"readiness_peak_56d": 1.0, "readiness_rate": 0.5, "value_count_28d": 1},
            (
                "Use goes on (92 % of what was expected), but readiness is 50 % after 100 %, and "
                "flagship events came 1 time in 28 days instead of 29."
            ),
        ),
        ("flagship_unused", {}, "With the product for 210 days, and never got to: Ai edited."),
        (
            "champion_gone",
            {},
            (
                "ann had 54 % of the account's points and has had none for 14 days; "
                "the others are at 103 % of what they did."
            ),
        ),
        ("single_user_dependency", {}, "One user makes 85 % of the points; 4 others could."),
        (
            "trial_stalled",
            {},
            (
                "16 days into the trial, which ends on 2026-04-15: 12 % ready, "
                "in use on 9 of the last 14 days; missing: invited."
            ),
        ),
        (
            "renewal_at_risk",
            {},
            "The contract ends on 2026-05-15, and a risk is open that is moderately severe.",
        ),
        (
            "upsell_ready",
            {},
            (
                "9 of 10 seats are taken, 90 % ready, and use is 122 % of what was expected; "
                "video_viewed 9.4 → 22.3 a week."
            ),
        ),
        (
            "upsell_ready",
            {"use_ratio_28d": 1.0, "points_28d": 173.5},
            (
                "9 of 10 seats are taken, 90 % ready, and 173.5 points in 28 days instead of 100; "
                "video_viewed 9.4 → 22.3 a week."
            ),
        ),
        (
            "social_proof",
            {},
            "Engagement score 88 after 60 days above 75 and 90 % ready, no risk open.",
        ),
        (
            "user_fading",
            {},
            "Active on 1 of the last 14 days instead of 6.5; last seen on 2026-03-30.",
        ),
        (
            "onboarding_gap",
            {},
            (
                "25 % activated after 100 days in an account that is 100 % activated; "
                "active on 3 of the last 14 days."
            ),
        ),
        (
            "champion",
            {"activation_rate": None, "account_engagement_points": None},
            "Engagement score 96.2, active on 21 of 30 days.",
        ),
    ],
)
def test_sentence(rule: str, change: dict[str, Any], expected: str) -> None:
    (flag,) = flags_of(rule, {**STORIES[rule], **change})
    assert flag["sentence"] == expected


def test_one_other_is_one() -> None:
    pair = {**STORIES["single_user_dependency"], "user_count": 2}
    (flag,) = flags_of("single_user_dependency", pair, min_user_count=2)
    assert flag["sentence"] == "One user makes 85 % of the points; 1 other could."


def evidence_of(rule: str, row: Mapping[str, Any], **parameters: float) -> dict[str, Any]:
    """The evidence of the one flag, without what every flag has."""
    (flag,) = flags_of(rule, row, **parameters)
    evidence: dict[str, Any] = json.loads(flag["evidence"])
    assert evidence.pop("as_of_date") == "2026-03-31"
    assert evidence.pop("dial_fingerprint") == "f00d"
    assert evidence.pop("parameters") == {**RULES[rule].parameters, **parameters}
    return evidence


def test_evidence_of_a_fall() -> None:
    assert evidence_of("falling_engagement", FALLING, max_use_ratio=0.5) == {
        "account_status": "paid",
        "contract_ends_date": None,
        "used_14d": 5,
        "expected_14d": 10,
        "use_ratio_14d": 0.5,
        "use_surprise_14d": 1.2,
        "used_28d": 8,
        "expected_28d": 20,
        "use_ratio_28d": 0.4,
        "use_surprise_28d": 1.9,
        "used_56d": 20,
        "expected_56d": 40,
        "use_ratio_56d": 0.5,
        "use_surprise_56d": 2.4,
        "fleet_ratio": 0.96,
        "user_count": 5,
        "active_day_count_14d": 9,
        "weeks_observed": 30,
        "points_now": 42,
        "points_baseline": 100,
        "baseline_ratio": 0.42,
        "slope_points_per_week": -8.5,
        "now_from_date": "2026-03-11",
        "baseline_from_date": "2025-12-10",
        "baseline_to_date": "2026-03-03",
        "last_seen_date": "2026-03-22",
        "event_movers": FALLING["event_movers"],
        "user_movers": FALLING["user_movers"],
        "counter_evidence": None,
    }


@pytest.mark.parametrize("rule", ["falling_engagement", "dormant"])
def test_when_the_fleet_fell_too_the_evidence_says_so(rule: str) -> None:
    told = "Its peers' use fell 20 % too; a season or a gap in the data may be part of it."
    assert evidence_of(rule, {**STORIES[rule], "fleet_ratio": 0.8})["counter_evidence"] == told
    assert evidence_of(rule, {**STORIES[rule], "fleet_ratio": 0.81})["counter_evidence"] is None


def test_baseline_of_a_short_past_begins_with_it() -> None:
    evidence = evidence_of("falling_engagement", {**FALLING, "weeks_observed": 9})
    assert evidence["baseline_from_date"] == "2026-01-28"  # 63 days to as-of


def test_evidence_of_dormancy() -> None:
    assert evidence_of("dormant", DORMANT) == {
        "account_status": "paid",
        "contract_ends_date": None,
        "silent_days": 21,
        "last_points_date": "2026-03-10",
        "last_seen_date": "2026-03-29",
        "peer_days_in_silence": 9.25,
        "expected_in_silence": 11,
        "used_56d": 14,
        "typical_use_56d": 30,
        "fleet_ratio": 0.96,
        "weeks_observed": 30,
        "points_now": 100,
        "points_baseline": 100,
        "baseline_ratio": 1,
        "slope_points_per_week": 0,
        "now_from_date": "2026-03-11",
        "baseline_from_date": "2025-12-10",
        "baseline_to_date": "2026-03-03",
        "user_movers": [],
        "counter_evidence": None,
    }


def test_golden_case_biggest_account_without_the_three_new_features() -> None:
    assert evidence_of("high_engagement_low_activation", BUSY) == {
        "account_status": "paid",
        "age_days": 210,
        "engagement_score": 93.4,
        "window_days": 30,
        "active_user_count": 312,
        "activation_rate": 0.5,
        "user_activation_rate": 0.25,
        "readiness_rate": 0.375,
        "missing_flagship_steps": [
            {
                "step_key": "ai_edited",
                "step_name": "Ai edited",
                "level": "user",
                "completed_rate": 0,
            },
            {
                "step_key": "branding_on",
                "step_name": "Branding on",
                "level": "account",
                "completed_rate": 0,
            },
            {
                "step_key": "statistics_opened",
                "step_name": "Statistics opened",
                "level": "user",
                "completed_rate": 0.1,
            },
        ],
        "missing_steps": ["branding_on", "sso_on"],
    }


def test_golden_case_half_activated_after_half_a_year() -> None:
    row = {
        **STALLED,
        "contract_started_date": before(180),
        "contract_ends_date": date(2026, 10, 2),
    }
    assert evidence_of("stalled_activation", row) == {
        "account_status": "paid",
        "activation_rate": 0.5,
        "contract_days": 180,
        "contract_ends_date": "2026-10-02",
        "contract_started_date": "2025-10-02",
        "missing_steps": ["sso_on", "team_invited"],
        "readiness_rate": 0.6,
        "user_activation_rate": 0.7,
    }


def test_evidence_of_a_ready_trial_leaves_out_a_score_with_a_thin_benchmark() -> None:
    row = {**READY_TRIAL, "is_benchmark_thin": True}
    assert evidence_of("trial_ready_for_sales", row) == {
        "activation_rate": 1,
        "active_user_count": 4,
        "engagement_score": None,
        "engagement_score_avg": 71.55,
        "last_points_date": "2026-03-30",
        "readiness_rate": 0.8,
        "trial_days_left": 6,
        "trial_ends_date": "2026-04-06",
        "user_activation_rate": 0.8,
        "user_count": 5,
        "window_days": 30,
    }


def test_evidence_of_a_champion() -> None:
    assert evidence_of("champion", {**CHAMPION, "account_engagement_points": 99.0}) == {
        "account_points_share": 0.454545,
        "account_status": "paid",
        "activation_rate": 1,
        "active_day_count": 21,
        "engagement_score": 96.2,
        "last_seen_date": "2026-03-30",
        "window_days": 30,
    }


def test_evidence_is_one_json_text_with_sorted_keys() -> None:
    (flag,) = flags_of("champion", CHAMPION, min_days=2)
    assert flag["evidence"] == (
        '{"account_points_share": 0.45, "account_status": "paid", "activation_rate": 1, '
        '"active_day_count": 21, "as_of_date": "2026-03-31", "dial_fingerprint": "f00d", '
        '"engagement_score": 96.2, "last_seen_date": "2026-03-30", "parameters": '
        '{"close_after_days": 14, "cooldown_days": 28, "min_activation_rate": 0.75, '
        '"min_active_day_count": 10, "min_days": 2, "min_engagement_score": 90, '
        '"mute_if_no_better_than_chance": false}, '
        '"window_days": 30}'
    )


def test_a_missing_step_text_without_steps_is_an_empty_list() -> None:
    (flag,) = flags_of("stalled_activation", {**STALLED, "missing_steps": ""})
    assert json.loads(flag["evidence"])["missing_steps"] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_looks_only_at_declared_facts(rule: Any) -> None:  # noqa: ANN401 - a Rule
    assert rule.judged <= set(DAYS[rule.entity])
    assert rule.shown <= set(FACTS[rule.entity])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_says_how_long(rule: Any) -> None:  # noqa: ANN401 - a Rule
    assert rule.parameters["min_days"] >= 1
    assert rule.parameters["close_after_days"] >= 1
    assert rule.parameters["cooldown_days"] >= 0


def test_every_fact_is_looked_at() -> None:
    for entity, schema in FACTS.items():
        rules = [rule for rule in RULES.values() if rule.entity == entity]
        looked_at = {name for rule in rules for name in rule.judged | rule.shown}
        assert set(schema) - set(KEYS[entity]) == looked_at | {"as_of_date"}


def test_evidence_is_written_as_it_reads() -> None:
    steps = [flagship("größe", 0.0)]
    (flag,) = flags_of("high_engagement_low_activation", {**BUSY, "flagship_steps": steps})
    assert '"step_key": "größe"' in flag["evidence"]


def test_evidence_takes_no_unknown_kind_of_cell() -> None:
    with pytest.raises(TypeError, match="evidence cannot hold bytes"):
        plain(b"raw")
    with pytest.raises(TypeError, match="evidence cannot hold Binary"):
        evidence_texts(pl.DataFrame({"raw": [b"raw"]}), {}, "f00d")


def test_evidence_is_spelled_as_json_with_whole_numbers_without_fraction() -> None:
    day = date(2026, 3, 31)
    rows = pl.DataFrame(
        {
            "share": [0.45, None, 180.0, -0.0, 1e-6, 6.9e-05, 2.0**53, 0.1 + 0.2],
            "text": ["a", None, 'say "é"', "\\", "two\nlines", "\x01", "", "z"],
            "is_thin": [True, None, False, True, True, True, True, True],
            "day": [day, None, *[day] * 6],
            "movers": [
                [{"name": "x", "now": 2.5}, {"name": "y", "now": 3.0}],
                None,
                [],
                [None],
                *[[{"name": None, "now": None}]] * 4,
            ],
        }
    )
    lines = evidence_texts(rows, {"min_days": 2.0}, "f00d").to_list()
    said = '"parameters": {"min_days": 2}'
    assert lines[0] == (
        '{"day": "2026-03-31", "dial_fingerprint": "f00d", "is_thin": true, "movers": '
        '[{"name": "x", "now": 2.5}, {"name": "y", "now": 3}], ' + said + ', "share": 0.45, '
        '"text": "a"}'
    )
    assert lines[1] == (
        '{"day": null, "dial_fingerprint": "f00d", "is_thin": null, "movers": null, '
        + said
        + ', "share": null, "text": null}'
    )
    read = [json.loads(line) for line in lines]
    assert [cells["text"] for cells in read] == rows["text"].to_list()
    assert [cells["movers"] for cells in read] == rows["movers"].to_list()
    numbers = [line.split('"share": ')[1].split(",")[0] for line in lines]
    assert numbers == [
        *("0.45", "null", "180", "0", "1e-06", "6.9e-05", "9007199254740992"),
        "0.30000000000000004",
    ]


def test_rules_about_open_risks_see_what_those_before_them_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A renewal is at risk for other risks; nothing is proof while it is."""
    found = {"dormant": 2, "upsell_ready": 3, "renewal_at_risk": 3}
    seen: dict[str, list[int]] = {}
    shown: dict[str, list[int]] = {}

    def follow(
        _block: Block, _fleet: Fleet, facts: Facts, chosen: list[tuple[Rule, Dial]]
    ) -> list[Any]:
        for rule, _ in chosen:
            if watch.OPEN_RISKS in rule.judged:
                seen[rule.key] = facts[watch.OPEN_RISKS](ALL_CELLS).to_list()
        return [
            (rule, dial, None, np.full((1, 1), found.get(rule.key, 0), np.uint8))
            for rule, dial in chosen
        ]

    def opened(_block: Block, facts: Facts, followed: list[Any], _entity: Entity) -> list[Any]:
        for rule, *_ in followed:
            if watch.OPEN_RISKS in rule.shown:
                shown[rule.key] = facts[watch.OPEN_RISKS](ALL_CELLS).to_list()
        return [rule.key for rule, *_ in followed]

    monkeypatch.setattr(watch, "account_facts", lambda *_: {})
    monkeypatch.setattr(watch, "_follow", follow)
    monkeypatch.setattr(watch, "_opened", opened)
    block: Any = SimpleNamespace(presence=SimpleNamespace(status=np.zeros((1, 1))))
    nobody: Any = None
    rules = ["social_proof", "renewal_at_risk", "upsell_ready", "dormant"]

    watched = watch.watch(block, nobody, "account", [Dial(key) for key in rules])

    assert {*map(str, watched)} == set(rules)
    assert seen == {"renewal_at_risk": [2], "social_proof": [3]}
    assert shown == {"renewal_at_risk": [2]}
