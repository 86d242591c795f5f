"""Flags: every rule at its thresholds, evidence and sentence by hand, and laws of all rules."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from orchestration.signals.evidence import plain
from orchestration.signals.flags import FACTS, RULES, Entity, flags_schema, raise_flags
from orchestration.signals.tables import ACCOUNT_FLAGS, USER_FLAGS

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
    "trend": "steady",
    "flagship_steps": [],
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
    "slope_p_value": 1.0,
    "is_benchmark_thin": False,
    "is_user_benchmark_thin": False,
    "trial_ends_date": None,
    "contract_started_date": before(200),
    "contract_ends_date": None,
    "first_seen_date": before(209),
    "last_seen_date": before(1),
    "last_points_date": before(1),
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
    "activation_rate": 0.5,
    "is_benchmark_thin": False,
    "last_seen_date": before(1),
}

FALLING = {
    "trend": "falling",
    "points_now": 42.0,
    "points_baseline": 100.0,
    "baseline_ratio": 0.42,
    "slope_points_per_week": -8.5,
    "slope_p_value": 0.004434,
    "last_seen_date": before(9),
}
DORMANT = {"last_points_date": before(21), "last_seen_date": before(2)}
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
STORIES: dict[str, dict[str, Any]] = {
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


def flags_of(rule: str, row: Mapping[str, Any], **parameters: float) -> list[dict[str, Any]]:
    """The flags that one rule raises for one entity."""
    entity = RULES[rule].entity
    dial = Dial(rule, parameters=parameters)
    return raise_flags(facts(entity, row), entity, [dial], AS_OF).rows(named=True)


def is_raised(rule: str, row: Mapping[str, Any], **parameters: float) -> bool:
    return bool(flags_of(rule, row, **parameters))


@pytest.mark.parametrize("rule", RULES)
def test_the_quiet_raise_nothing(rule: str) -> None:
    assert not is_raised(rule, {})


@pytest.mark.parametrize(
    ("rule", "change", "expected"),
    [
        # falling_engagement: falling, at most 0.6 of a baseline of at least 30.
        ("falling_engagement", {}, True),
        ("falling_engagement", {"baseline_ratio": 0.6}, True),
        ("falling_engagement", {"baseline_ratio": 0.600001}, False),
        ("falling_engagement", {"points_baseline": 30.0}, True),
        ("falling_engagement", {"points_baseline": 29.999999}, False),
        ("falling_engagement", {"trend": "steady"}, False),
        ("falling_engagement", {"trend": "not_enough_data"}, False),
        # It compares the account with itself: the fleet may be small.
        ("falling_engagement", {"is_benchmark_thin": True}, True),
        ("falling_engagement", {"account_status": "trial"}, True),
        ("falling_engagement", {"account_status": "unknown"}, True),
        # dormant: no points for 14 days.
        ("dormant", {}, True),
        ("dormant", {"last_points_date": before(14)}, True),
        ("dormant", {"last_points_date": before(13)}, False),
        ("dormant", {"last_points_date": None}, False),  # never woke up
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
            {"flagship_steps": [], "activation_rate": 0.5, "readiness_rate": 0.6},
            True,  # the account's own steps
        ),
        (
            "high_engagement_low_activation",
            {"flagship_steps": [], "activation_rate": 0.9, "readiness_rate": 0.5},
            True,  # its members
        ),
        (
            "high_engagement_low_activation",
            {
                "activation_rate": 0.500001,
                "readiness_rate": 0.500001,
                "flagship_steps": [
                    flagship("ai_edited", 0.0),
                    flagship("branding_on", 1.0, "account"),
                    flagship("shared", 0.100001),
                    flagship("statistics_opened", 0.1),
                    flagship("no_members", None),
                ],
            },
            False,  # two flagships
        ),
        ("high_engagement_low_activation", {"flagship_steps": None}, True),
        (
            "high_engagement_low_activation",
            {"flagship_steps": None, "activation_rate": None, "readiness_rate": None},
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
        ("falling_engagement", "max_baseline_ratio", 0.41),
        ("falling_engagement", "min_baseline_points", 101),
        ("dormant", "min_silent_days", 22),
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
                "Points fell 58 % against its own 12 weeks, from 100 to 42 a week; "
                "last seen 9 days ago."
            ),
        ),
        (
            "falling_engagement",
            {"weeks_observed": 9, "last_seen_date": AS_OF, "points_now": 41.95},
            (
                "Points fell 58 % against its own 5 weeks, from 100 to 42 a week; "
                "last seen on the as-of date."
            ),
        ),
        (
            "dormant",
            {},
            "No points for 21 days, the last ones came on 2026-03-10; account status: paid.",
        ),
        (
            "high_engagement_low_activation",
            {},
            (
                "Engagement score 93.4, but 38 % activated; "
                "flagship steps missing: Ai edited, Branding on, Statistics opened."
            ),
        ),
        (
            "high_engagement_low_activation",
            {"flagship_steps": None},
            "Engagement score 93.4, but 38 % activated; missing: branding_on, sso_on.",
        ),
        (
            "high_engagement_low_activation",
            {"flagship_steps": [], "missing_steps": ""},
            "Engagement score 93.4, but 38 % activated.",
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
            "trial_ready_for_sales",
            {},
            "Trial ends in 6 days: 80 % activated, engagement score 71.6, 4 of 5 users active.",
        ),
        (
            "trial_ready_for_sales",
            {"trial_ends_date": AS_OF + timedelta(days=1)},
            "Trial ends in 1 day: 80 % activated, engagement score 71.6, 4 of 5 users active.",
        ),
        (
            "trial_ready_for_sales",
            {"trial_ends_date": None},
            (
                "Trial without an end date: 80 % activated, engagement score 71.6, "
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
            "champion",
            {"activation_rate": None, "account_engagement_points": None},
            "Engagement score 96.2, active on 21 of 30 days.",
        ),
    ],
)
def test_sentence(rule: str, change: dict[str, Any], expected: str) -> None:
    (flag,) = flags_of(rule, {**STORIES[rule], **change})
    assert flag["sentence"] == expected


def test_evidence_of_a_fall() -> None:
    (flag,) = flags_of("falling_engagement", FALLING, max_baseline_ratio=0.5)
    assert flag["evidence"] == (
        '{"account_status": "paid", "as_of_date": "2026-03-31", '
        '"baseline_from_date": "2025-12-10", "baseline_ratio": 0.42, '
        '"baseline_to_date": "2026-03-03", "contract_ends_date": null, '
        '"last_seen_date": "2026-03-22", "now_from_date": "2026-03-11", '
        '"parameters": {"contract_grace_days": 30, "max_baseline_ratio": 0.5, '
        '"min_baseline_points": 30}, '
        '"points_baseline": 100, "points_now": 42, "slope_p_value": 0.004434, '
        '"slope_points_per_week": -8.5, "weeks_observed": 30}'
    )


def test_baseline_of_a_short_past_begins_with_it() -> None:
    (flag,) = flags_of("falling_engagement", {**FALLING, "weeks_observed": 9})
    assert json.loads(flag["evidence"])["baseline_from_date"] == "2026-01-28"  # 63 days to as-of


def test_evidence_of_dormancy() -> None:
    (flag,) = flags_of("dormant", DORMANT)
    assert flag["evidence"] == (
        '{"account_status": "paid", "as_of_date": "2026-03-31", "contract_ends_date": null, '
        '"last_points_date": "2026-03-10", "last_seen_date": "2026-03-29", '
        '"parameters": {"contract_grace_days": 30, "min_silent_days": 14}, '
        '"points_baseline": 100, "silent_days": 21, "weeks_observed": 30}'
    )


def test_golden_case_biggest_account_without_the_three_new_features() -> None:
    (flag,) = flags_of("high_engagement_low_activation", BUSY)
    assert json.loads(flag["evidence"]) == {
        "account_status": "paid",
        "as_of_date": "2026-03-31",
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
        "parameters": {
            "min_engagement_score": 75,
            "max_activation_rate": 0.5,
            "min_missing_flagship_steps": 3,
            "max_flagship_user_rate": 0.1,
            "min_age_days": 14,
        },
    }


def test_golden_case_half_activated_after_half_a_year() -> None:
    row = {
        **STALLED,
        "contract_started_date": before(180),
        "contract_ends_date": date(2026, 10, 2),
    }
    (flag,) = flags_of("stalled_activation", row)
    assert flag["evidence"] == (
        '{"account_status": "paid", "activation_rate": 0.5, "as_of_date": "2026-03-31", '
        '"contract_days": 180, "contract_ends_date": "2026-10-02", '
        '"contract_started_date": "2025-10-02", "missing_steps": ["sso_on", "team_invited"], '
        '"parameters": {"contract_grace_days": 30, "max_activation_rate": 0.5, '
        '"min_contract_days": 180}, '
        '"readiness_rate": 0.6, "user_activation_rate": 0.7}'
    )


def test_evidence_of_a_ready_trial_leaves_out_a_score_with_a_thin_benchmark() -> None:
    (flag,) = flags_of("trial_ready_for_sales", {**READY_TRIAL, "is_benchmark_thin": True})
    assert flag["evidence"] == (
        '{"activation_rate": 1, "active_user_count": 4, "as_of_date": "2026-03-31", '
        '"engagement_score": null, "engagement_score_avg": 71.55, '
        '"last_points_date": "2026-03-30", '
        '"parameters": {"max_silent_days": 7, "min_active_user_count": 2, '
        '"min_engagement_score": 50, "min_readiness_rate": 0.6}, "readiness_rate": 0.8, '
        '"trial_days_left": 6, "trial_ends_date": "2026-04-06", "user_activation_rate": 0.8, '
        '"user_count": 5, "window_days": 30}'
    )


def test_evidence_of_a_champion() -> None:
    (flag,) = flags_of("champion", {**CHAMPION, "account_engagement_points": 99.0})
    assert flag["evidence"] == (
        '{"account_points_share": 0.454545, "account_status": "paid", "activation_rate": 1, '
        '"active_day_count": 21, "as_of_date": "2026-03-31", "engagement_score": 96.2, '
        '"last_seen_date": "2026-03-30", '
        '"parameters": {"min_activation_rate": 0.75, "min_active_day_count": 10, '
        '"min_engagement_score": 90}, "window_days": 30}'
    )


def test_a_missing_step_text_without_steps_is_an_empty_list() -> None:
    (flag,) = flags_of("stalled_activation", {**STALLED, "missing_steps": ""})
    assert json.loads(flag["evidence"])["missing_steps"] == []


def test_kind_severity_title_and_playbook_are_the_dials() -> None:
    dial = Dial("champion", "opportunity", "low", title="Ünser Held", playbook='Say "thanks"')
    (flag,) = raise_flags(facts("user", CHAMPION), "user", [dial], AS_OF).rows(named=True)
    assert {name: flag[name] for name in ("account_id", "user_id", "flag_key", "as_of_date")} == {
        "account_id": "acme",
        "user_id": "ann",
        "flag_key": "champion",
        "as_of_date": AS_OF,
    }
    assert [flag[name] for name in ("kind", "severity", "title", "playbook")] == [
        "opportunity",
        "low",
        "Ünser Held",
        'Say "thanks"',
    ]


def test_a_rule_that_is_not_enabled_raises_nothing() -> None:
    frame = facts("account", DORMANT)
    dial = Dial("dormant", is_enabled=False)
    assert raise_flags(frame, "account", [dial], AS_OF).is_empty()


def test_rules_of_the_other_entity_are_left_alone() -> None:
    frame = facts("account", DORMANT)
    raised = raise_flags(frame, "account", [Dial("champion"), Dial("dormant")], AS_OF)
    assert raised["flag_key"].to_list() == ["dormant"]


def test_no_dials_and_no_facts_give_empty_tables_with_all_columns() -> None:
    for entity, table in (("account", ACCOUNT_FLAGS), ("user", USER_FLAGS)):
        name: Entity = "account" if entity == "account" else "user"
        dials = [Dial(key) for key in RULES]
        for frame in (
            raise_flags(facts(name), name, dials, AS_OF),
            raise_flags(facts(name, {}), name, [], AS_OF),
        ):
            assert frame.is_empty()
            assert frame.schema == flags_schema(name)
            assert frame.columns == [column.name for column in table.columns]


def test_decimals_are_compared_exactly() -> None:
    frame = facts("account", STALLED).with_columns(
        pl.Series("activation_rate", [Decimal("0.6")], dtype=pl.Decimal(18, 6)),
        pl.Series("readiness_rate", [Decimal("0.6")], dtype=pl.Decimal(18, 6)),
    )
    dial = Dial("stalled_activation", parameters={"max_activation_rate": 0.6})
    assert raise_flags(frame, "account", [dial], AS_OF).height == 1
    dial = Dial("stalled_activation", parameters={"max_activation_rate": 0.599999})
    assert raise_flags(frame, "account", [dial], AS_OF).is_empty()


def test_a_missing_fact_is_named() -> None:
    with pytest.raises(ValueError, match="facts of accounts lack the columns trend, user_count"):
        raise_flags(facts("account").drop("user_count", "trend"), "account", [], AS_OF)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_looks_only_at_declared_facts(rule: Any) -> None:  # noqa: ANN401 - a Rule
    assert rule.columns <= set(FACTS[rule.entity])


def test_every_fact_is_looked_at() -> None:
    for entity, schema in FACTS.items():
        looked_at = {name for r in RULES.values() if r.entity == entity for name in r.columns}
        keys = {"account_id", "user_id"}
        assert set(schema) - keys == looked_at - keys


def test_evidence_is_written_as_it_reads() -> None:
    steps = [flagship("größe", 0.0)]
    (flag,) = flags_of("high_engagement_low_activation", {**BUSY, "flagship_steps": steps})
    assert '"step_key": "größe"' in flag["evidence"]


def test_evidence_takes_no_unknown_kind_of_cell() -> None:
    with pytest.raises(TypeError, match="evidence cannot hold bytes"):
        plain(b"raw")


changes = st.lists(
    st.sampled_from([{}, *(STORIES[rule] for rule in STORIES if rule != "champion")]), max_size=9
)


@settings(max_examples=50, deadline=None)
@given(stories=changes, seed=st.integers(0, 1000), reverse=st.booleans())
def test_order_of_facts_and_dials_changes_nothing(
    stories: list[dict[str, Any]], seed: int, reverse: bool
) -> None:
    rows = [{**story, "account_id": f"a{place}"} for place, story in enumerate(stories)]
    frame = facts("account", *rows)
    dials = [Dial(key) for key in RULES]
    expected = raise_flags(frame, "account", dials, AS_OF)
    shuffled = raise_flags(
        frame.sample(fraction=1, shuffle=True, seed=seed).select(reversed(frame.columns)),
        "account",
        reversed(dials) if reverse else dials,
        AS_OF,
    )
    assert_frame_equal(shuffled, expected, check_exact=True)
    assert expected.select("account_id", "flag_key").is_unique().all()


@pytest.mark.parametrize("rule", RULES)
def test_a_story_raises_its_own_flag_whoever_stands_beside_it(rule: str) -> None:
    entity = RULES[rule].entity
    other = {"account_id": "beta", "user_id": "bob"} if entity == "user" else {"account_id": "beta"}
    frame = facts(entity, STORIES[rule], other)
    raised = raise_flags(frame, entity, [Dial(rule)], AS_OF)
    assert raised["account_id"].to_list() == ["acme"]
