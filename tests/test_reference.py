"""The slow reading of the contract, held against the contract's own numbers."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from raw_cases import DIAL_COLUMNS, USUAL, Case, cases, random_case, write_case
from reference import build, clean, engagement_level, temperature

OULAD = Path(__file__).parents[2] / "shared" / "data" / "oulad"
AS_OF = date(2024, 6, 30)

Row = dict[str, Any]


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC).replace(tzinfo=None)


def events(account: str, user: str | None, name: str, count: int, day: date = AS_OF) -> list[Row]:
    return [
        {
            "id": f"{account}-{user}-{name}-{day}-{number}",
            "event": name,
            "timestamp": at(day),
            "user_id": user,
            "context_group_id": account,
        }
        for number in range(count)
    ]


def group(row_id: str, account: str, day: date, user: str | None = None, **traits: object) -> Row:
    return {"id": row_id, "group_id": account, "timestamp": at(day), "user_id": user, **traits}


def dial(file_name: str, **cells: object) -> dict[str, str]:
    row = dict.fromkeys(DIAL_COLUMNS[file_name], "")
    return row | {column: str(cell) for column, cell in cells.items()}


def tracked(*names: str) -> list[dict[str, str]]:
    return [dial("tracked_events", event_key=name, event_name=name) for name in names]


def model(curve: str, window_days: int = 30, **weights: float) -> dict[str, list[dict[str, str]]]:
    """Dials of one score model named default."""
    return {
        "tracked_events": tracked(*weights),
        "score_models": [
            dial("score_models", score_model="default", window_days=window_days, curve=curve),
        ],
        "engagement_weights": [
            dial("engagement_weights", score_model="default", event_key=key, weight=weight)
            for key, weight in weights.items()
        ],
    }


def step(key: str, level: str = "account", **cells: object) -> dict[str, str]:
    return dial("activation_steps", step_key=key, level=level, event_key=key, **cells)


def one(rows: list[Row], **key: object) -> Row:
    found = [row for row in rows if all(row[name] == value for name, value in key.items())]
    assert len(found) == 1, (key, found)
    return found[0]


# --- golden cases -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step_keys", "done", "rate"),
    [
        ("abcde", ["a", "d"], Decimal("0.4")),
        ("abcde", ["d", "a"], Decimal("0.4")),
        ("abcde", ["a", "d", "d"], Decimal("0.4")),
        ("abcd", ["b", "c", "d"], Decimal("0.75")),
    ],
)
def test_the_rate_is_the_share_of_steps_done(
    step_keys: str,
    done: list[str],
    rate: Decimal,
) -> None:
    tracks = []
    for number, key in enumerate(done):
        row = events("acme", "ann", key, 1)[0]
        tracks.append(row | {"id": str(number)})
    dials = {"tracked_events": tracked(*step_keys), "activation_steps": list(map(step, step_keys))}
    activation = one(build({"tracks": tracks}, dials, AS_OF)["account_activation"])
    assert activation["activation_rate"] == rate
    assert activation["missing_steps"] == ",".join(key for key in step_keys if key not in done)


def test_points_are_weights_times_counts() -> None:
    counts = {"create_new_lead": 9, "schedule_meeting": 7, "log_call": 5, "send_email": 3}
    counts["update_contact_info"] = 1
    weights = {"create_new_lead": 3, "schedule_meeting": 5, "log_call": 10, "send_email": 20}
    weights["update_contact_info"] = 15
    tracks = [row for name, n in counts.items() for row in events("acme", "ann", name, n)]
    marts = build({"tracks": tracks}, model("exponential", **weights), AS_OF)
    assert one(marts["account_engagement"])["engagement_points"] == 187
    shares = {
        row["event_key"]: round(row["points_share"], 4)
        for row in marts["account_engagement_drivers"]
    }
    assert shares == {
        "create_new_lead": Decimal("0.1444"),
        "schedule_meeting": Decimal("0.1872"),
        "log_call": Decimal("0.2674"),
        "send_email": Decimal("0.3209"),
        "update_contact_info": Decimal("0.0802"),
    }


@pytest.mark.parametrize(
    ("curve", "scores"),
    [
        (
            "winsorized",
            "100 42.75 48.51 3.36 1.44 10.09 0.96 71.57 100 0.48 6.24 4.32 17.77",
        ),
        (
            "exponential",
            "99.48 62.63 67.27 7.45 3.26 20.73 2.19 80.75 91.51 1.10 13.39 9.47 33.58",
        ),
    ],
)
def test_the_benchmark_and_both_curves(curve: str, scores: str) -> None:
    points = [475, 89, 101, 7, 3, 21, 2, 149, 223, 1, 13, 9, 37]
    tracks = [
        row for n, count in enumerate(points) for row in events(f"a{n:02}", "ann", "did", count)
    ]
    rows = build({"tracks": tracks}, model(curve, did=1), AS_OF, days=set())["account_engagement"]
    assert {row["benchmark_points"] for row in rows} == {Decimal("208.2")}
    assert {row["benchmark_population_count"] for row in rows} == {13}
    assert not any(row["is_benchmark_thin"] for row in rows)
    assert [round(row["engagement_score"], 2) for row in rows] == list(map(Decimal, scores.split()))


def test_eleven_and_then_thirteen_of_twenty_is_exactly_ten_more() -> None:
    before = AS_OF - timedelta(days=30)
    tracks = events("acme", "ann", "did", 11, before) + events("acme", "ann", "did", 13)
    for n in range(10):
        tracks += events(f"a{n}", "bob", "did", 20, before) + events(f"a{n}", "bob", "did", 20)
    marts = build({"tracks": tracks}, model("winsorized", did=1), AS_OF, days=set())
    row = one(marts["account_engagement"], account_id="acme")
    assert (row["engagement_score"], row["score_change"]) == (65, 10)
    assert (row["score_change_behaviour"], row["score_change_benchmark"]) == (10, 0)
    assert row["temperature"] == "red_hot"
    assert temperature(Decimal("9.999999")) == "steady"
    assert temperature(Decimal(-10)) == "ice_cold"


def test_the_average_score_is_that_of_the_active_users() -> None:
    tracks = events("acme", "ann", "did", 4) + events("acme", "bob", "did", 2)
    for n in range(20):
        tracks += events("other", f"u{n}", "did", 5)
    raw = {"tracks": tracks, "groups": [group("g", "acme", AS_OF, "eve")]}
    marts = build(raw, model("winsorized", did=1), AS_OF)
    scores = {
        row["user_id"]: row["engagement_score"]
        for row in marts["user_engagement"]
        if row["account_id"] == "acme"
    }
    assert scores == {"ann": 80, "bob": 40, "eve": 0}
    row = one(marts["account_engagement"], account_id="acme")
    assert row["engagement_score_avg"] == 60
    assert row["active_user_rate"] == Decimal("0.666667")


def test_the_share_of_the_top_user_and_how_many_users_that_is_in_effect() -> None:
    tracks = [r for user, n in [("a", 90), ("b", 5), ("c", 5)] for r in events("x", user, "did", n)]
    row = one(build({"tracks": tracks}, model("winsorized", did=1), AS_OF)["account_engagement"])
    assert row["top_user_share"] == Decimal("0.9")
    assert round(row["effective_user_count"], 3) == Decimal("1.227")


def test_levels_begin_at_their_bound() -> None:
    scores = ["75", "74.99", "50", "25", "24.99"]
    levels = ["most", "moderate", "moderate", "passive", "least"]
    assert [engagement_level(Decimal(score)) for score in scores] == levels


def test_canceled_and_signed_again_three_months_later() -> None:
    groups = [
        group("g1", "acme", date(2024, 1, 1), contract_started_at=at(date(2024, 1, 1))),
        group("g2", "acme", date(2024, 2, 10), canceled_at=at(date(2024, 2, 10))),
        group("g3", "acme", date(2024, 5, 10), contract_started_at=at(date(2024, 5, 10))),
    ]
    rows = build({"groups": groups}, {}, AS_OF)["account_activation_daily"]
    changes = [
        (row["date"].isoformat(), row["account_status"])
        for before, row in zip([{"account_status": None}, *rows], rows, strict=False)
        if row["account_status"] != before["account_status"]
    ]
    assert changes == [("2024-01-01", "paid"), ("2024-02-10", "canceled"), ("2024-05-10", "paid")]


# --- single sentences ---------------------------------------------------------------------------


def test_a_trial_expires_on_the_day_that_it_ends() -> None:
    groups = [group("g1", "acme", date(2024, 6, 1), trial_ends_at=at(date(2024, 6, 15)))]
    rows = build({"groups": groups}, {}, AS_OF)["account_activation_daily"]
    statuses = {row["date"].day: row["account_status"] for row in rows}
    assert (statuses[1], statuses[14], statuses[15], statuses[30]) == (
        "trial",
        "trial",
        "expired",
        "expired",
    )


def test_a_row_that_says_canceled_says_nothing_about_paid() -> None:
    canceled = at(date(2024, 6, 10))
    groups = [
        group("g1", "acme", date(2024, 6, 1), status="Active"),
        group("g2", "acme", date(2024, 6, 20), status="active", canceled_at=canceled),
    ]
    marts = build({"groups": groups}, {}, AS_OF)
    statuses = {row["date"].day: row["account_status"] for row in marts["account_activation_daily"]}
    assert (statuses[9], statuses[15], statuses[20]) == ("paid", "paid", "canceled")
    assert one(marts["accounts"])["canceled_date"] == date(2024, 6, 10)


def test_at_one_instant_canceled_goes_before_paid() -> None:
    moment = at(date(2024, 6, 10))
    for order in (("g1", "g2"), ("g2", "g1")):
        groups = [
            group(order[0], "acme", date(2024, 6, 10), canceled_at=moment),
            group(order[1], "acme", date(2024, 6, 10), contract_started_at=moment, status="paid"),
        ]
        assert one(build({"groups": groups}, {}, AS_OF)["accounts"])["account_status"] == "canceled"
    # a cancellation at the row's own time is not after it either
    own = group("g1", "acme", date(2024, 6, 10), canceled_at=moment, contract_started_at=at(AS_OF))
    assert one(build({"groups": [own]}, {}, AS_OF)["accounts"])["account_status"] == "canceled"


def test_a_member_did_something_in_the_last_ninety_days() -> None:
    tracks = events("acme", "ann", "any", 1, AS_OF - timedelta(days=89))
    tracks += events("acme", "bob", "any", 1, AS_OF - timedelta(days=90))
    members = {
        row["user_id"]: row["is_member"]
        for row in build({"tracks": tracks}, {}, AS_OF)["user_accounts"]
    }
    assert members == {"ann": True, "bob": False}


def test_a_changed_benchmark_is_told_from_changed_behaviour() -> None:
    before = AS_OF - timedelta(days=30)
    tracks = events("acme", "ann", "did", 10, before) + events("acme", "ann", "did", 8)
    for n in range(10):
        tracks += events(f"a{n}", "bob", "did", 20, before) + events(f"a{n}", "bob", "did", 10)
    marts = build({"tracks": tracks}, model("winsorized", did=1), AS_OF, days=set())
    row = one(marts["account_engagement"], account_id="acme")
    # 10 of 20 was 50, 8 of 10 is 80; against the old benchmark it were 40
    assert row["score_change"] == 30
    assert (row["score_change_behaviour"], row["score_change_benchmark"]) == (-10, 40)
    driver = one(marts["account_engagement_drivers"], account_id="acme")
    assert (driver["points_before"], driver["points_change"]) == (10, -2)


def test_a_trait_counts_from_the_day_that_brings_it() -> None:
    has_plan = dial("activation_steps", step_key="plan", level="account", trait="plan")
    retired = has_plan | {"step_key": "old", "trait_value": "pro", "valid_to": "2024-06-28"}
    groups = [group("g1", "acme", date(2024, 6, 28)), group("g2", "acme", AS_OF, plan="pro")]
    marts = build({"groups": groups}, {"activation_steps": [retired, has_plan]}, AS_OF)
    steps = {row["step_key"]: row for row in marts["account_activation_steps"]}
    assert (steps["plan"]["is_completed"], steps["plan"]["reached_date"]) == (True, AS_OF)
    assert (steps["old"]["is_completed"], steps["old"]["is_applicable"]) == (True, False)
    counts = {row["date"].day: row["step_count"] for row in marts["account_activation_daily"]}
    assert counts == {28: 2, 29: 1, 30: 1}


def test_days_are_cut_in_the_reporting_time_zone() -> None:
    # 22:30 UTC on the last Saturday of winter time and on the Sunday after: 23:30 and 00:30
    tracks: list[Row] = [
        {"id": "1", "event": "did", "user_id": "u", "timestamp": "2024-03-30T22:30:00Z"},
        {"id": "2", "event": "did", "user_id": "u", "timestamp": "2024-04-01 00:30:00+0200"},
        {"id": "3", "event": "did", "user_id": "u", "timestamp": datetime(2024, 3, 31, 22, 30)},  # noqa: DTZ001 - naive UTC
    ]
    raw = {"tracks": tracks, "groups": [group("g", "acme", date(2024, 3, 1), "u")]}
    usage = build(raw, model("winsorized", did=1), date(2024, 4, 2), "Europe/Berlin")
    assert {row["date"]: row["event_count"] for row in usage["event_usage_daily"]} == {
        date(2024, 3, 30): 1,
        date(2024, 4, 1): 2,
    }
    waiting = build(raw, model("winsorized", did=1), date(2024, 3, 31), "Europe/Berlin")
    assert one(waiting["data_quality"])["waiting"] == 2


def test_a_shared_device_never_merges_two_users() -> None:
    days = [date(2024, 6, day) for day in range(1, 7)]
    identifies = [
        {"id": "i1", "user_id": "ann", "anonymous_id": "d", "timestamp": at(days[1])},
        {"id": "i2", "user_id": "bob", "anonymous_id": "d", "timestamp": at(days[3])},
        {"id": "i3", "user_id": "abe", "anonymous_id": "d", "timestamp": at(days[3])},
    ]
    tracks = [
        {"id": str(n), "event": "did", "anonymous_id": "d", "context_group_id": "x"}
        | {"timestamp": at(days[n])}
        for n in (0, 2, 3, 5)
    ]
    marts = build(
        {"tracks": tracks, "identifies": identifies},
        model("winsorized", did=1),
        AS_OF,
    )
    owners = {row["date"]: row["user_id"] for row in marts["event_usage_daily"]}
    assert owners == {days[0]: "ann", days[2]: "ann", days[3]: "abe", days[5]: "abe"}


def test_an_event_without_account_belongs_where_its_user_last_joined() -> None:
    days = [date(2024, 6, day) for day in range(1, 7)]
    groups = [
        group("g1", "first", days[1], "ann"),
        group("g9", "tied", days[3], "ann"),
        group("g10", "lost", days[3], "ann"),
    ]
    tracks = [
        {"id": str(n), "event": "did", "user_id": "ann", "timestamp": at(days[n])}
        for n in (0, 2, 5)
    ]
    marts = build({"tracks": tracks, "groups": groups}, model("winsorized", did=1), AS_OF)
    places = {row["date"]: row["account_id"] for row in marts["event_usage_daily"]}
    assert places == {days[0]: "first", days[2]: "first", days[5]: "tied"}
    assert one(marts["data_quality"])["ambiguous_account"] == 3
    two = build({"tracks": tracks, "groups": groups[:2]}, model("winsorized", did=1), AS_OF)
    assert one(two["data_quality"])["ambiguous_account"] == 3
    only = build({"tracks": tracks, "groups": groups[:1]}, model("winsorized", did=1), AS_OF)
    assert one(only["data_quality"])["ambiguous_account"] == 0


def test_every_row_has_one_fate() -> None:
    good = {"event": "did", "user_id": "u", "context_group_id": "x", "timestamp": at(AS_OF)}
    tracks = [
        good | {"id": " NULL "},
        good | {"id": "1", "event": "undefined"},
        good | {"id": "2", "timestamp": "yesterday"},
        good | {"id": "3", "timestamp": "1999-12-31 23:59:59"},
        good | {"id": "4", "received_at": at(AS_OF) - timedelta(days=1, microseconds=1)},
        good | {"id": "5", "user_id": None, "context_group_id": "\t"},
        good | {"id": "6", "timestamp": at(AS_OF + timedelta(days=1))},
        good | {"id": "7", "user_id": "Robot-1"},
        good | {"id": "8", "user_id": None, "context_group_id": None, "anonymous_id": "d"},
        good | {"id": "9", "received_at": at(AS_OF) - timedelta(days=1)},
        good | {"id": " 9", "received_at": at(AS_OF)},
        good | {"id": "10", "properties": "{no"},
    ]
    exclusion = dial("exclusions", entity="user", column="user_id", pattern="robot*")
    dials = model("winsorized", did=1) | {"exclusions": [exclusion]}
    assert one(build({"tracks": tracks}, dials, AS_OF)["data_quality"]) == {
        "as_of_date": AS_OF,
        "received": 12,
        "counted": 2,
        "duplicates": 1,
        "missing_id": 1,
        "missing_event": 1,
        "bad_timestamp": 3,
        "no_identity": 1,
        "excluded": 1,
        "anonymous": 1,
        "waiting": 1,
        "late": 0,
        "late_1_to_7_days": 0,
        "late_8_to_30_days": 0,
        "late_31_to_90_days": 0,
        "late_over_90_days": 0,
        "unattributed": 0,
        "ambiguous_account": 0,
        "unmapped": 0,
        "bad_properties": 1,
    }


def test_lateness_is_counted_in_days_and_every_load_by_what_became_of_its_rows() -> None:
    good = {"event": "did", "user_id": "u", "context_group_id": "x", "timestamp": at(AS_OF)}
    late = [
        good | {"id": str(days), "_load_id": 1, "received_at": at(AS_OF + timedelta(days=days))}
        for days in (0, 1, 7, 8, 30, 31, 90, 91, 150)
    ]
    others = [
        good | {"id": "0", "_load_id": 1},
        good | {"id": "1", "_load_id": 2, "timestamp": at(AS_OF - timedelta(days=1))},
        good | {"id": None, "_load_id": 2},
        good | {"id": "later", "_load_id": 2, "timestamp": at(AS_OF + timedelta(days=1))},
        good | {"id": "a", "user_id": None, "context_group_id": None, "anonymous_id": "d"},
    ]
    marts = build({"tracks": [*late, *others]}, model("winsorized", did=1), AS_OF)

    quality = one(marts["data_quality"])
    bands = ("late_1_to_7_days", "late_8_to_30_days", "late_31_to_90_days", "late_over_90_days")
    # the earlier copy of the row that is late by a day came in time
    assert [quality[band] for band in bands] == [1, 2, 2, 2]
    assert quality["late"] == 7
    names = "received counted duplicate quarantined excluded anonymous waiting"
    assert {
        row["load_id"]: [row[f"{name}_count"] for name in names.split()]
        for row in marts["deliveries"]
    } == {1: [10, 8, 2, 0, 0, 0, 0], 2: [3, 1, 0, 1, 0, 0, 1], None: [1, 0, 0, 0, 0, 1, 0]}


def test_an_unmapped_name_is_told_the_nearest_tracked_one() -> None:
    names = ["video_shared", "Video Stared", "Log", "Branding Updated", "Video Viewed"]
    tracks = [{"id": name, "event": name, "user_id": "u", "timestamp": at(AS_OF)} for name in names]
    dials = {
        "tracked_events": [
            *tracked("Video Shared", "Video Starred", "Lag", "Branding Update"),
            dial(
                "tracked_events",
                event_key="on",
                event_name="Branding Updated",
                property_name="enabled",
            ),
        ]
    }
    rows = build({"tracks": tracks}, dials, AS_OF)["unmapped_events"]
    assert {row["event_name"]: row["did_you_mean"] for row in rows} == {
        "video_shared": "Video Shared",
        "Video Stared": "Video Shared",
        "Log": None,
        "Branding Updated": None,
        "Video Viewed": None,
    }


def test_a_step_goes_stale() -> None:
    dials = {
        "tracked_events": tracked("did"),
        "activation_steps": [step("did", min_count=2, within_days=8, expires_after_days=10)],
    }
    # met on the 9th alone; on the 18th there is an event, but it is not met
    days = [date(2024, 6, 2), date(2024, 6, 9), date(2024, 6, 18)]
    tracks = [row for day in days for row in events("acme", None, "did", 1, day)]
    marts = build({"tracks": tracks}, dials, AS_OF)
    rates = {row["date"].day: row["activation_rate"] for row in marts["account_activation_daily"]}
    assert [day for day, rate in rates.items() if rate == 1] == list(range(9, 19))
    state = one(marts["account_activation_steps"])
    assert (state["reached_date"], state["last_met_date"]) == (days[1], days[1])
    assert (state["progress_count"], state["is_completed"]) == (0, False)
    activation = one(marts["account_activation"])
    assert (activation["activated_date"], activation["days_to_activation"]) == (days[1], 7)


def test_a_step_was_last_met_when_something_was_done_for_it() -> None:
    dials = {"tracked_events": tracked("did"), "activation_steps": [step("did", min_count=2)]}
    days = [date(2024, 6, 3), date(2024, 6, 9), date(2024, 6, 18)]
    tracks = [row for day in days for row in events("acme", None, "did", 1, day)]
    state = one(build({"tracks": tracks}, dials, AS_OF)["account_activation_steps"])
    assert (state["progress_count"], state["is_completed"]) == (3, True)
    assert (state["reached_date"], state["last_met_date"]) == (days[1], days[2])


def test_a_dated_row_changes_history_only_where_it_is_restated() -> None:
    steps = [
        step("did", valid_to="2024-06-20"),
        step("did", min_count=3, valid_from="2024-06-21"),
    ]
    dials = {"tracked_events": tracked("did"), "activation_steps": steps}
    tracks = events("acme", "ann", "did", 2, date(2024, 6, 19))
    rows = build({"tracks": tracks}, dials, AS_OF)["account_activation_daily"]
    assert [row["activation_rate"] for row in rows] == [1, 1, *[0] * 10]
    assert {row["activation_rate_restated"] for row in rows} == {0}


def test_the_mean_of_rates_is_rounded_once() -> None:
    steps = [step(key) for key in "abc"] + [step("d", "user")]
    dials = {"tracked_events": tracked("a", "b", "c", "d"), "activation_steps": steps}
    tracks = [row for key in "abd" for row in events("acme", "ann", key, 1)]
    row = one(build({"tracks": tracks}, dials, AS_OF)["account_activation"])
    # 2/3 and 1: 5/6, and not the half of 1.666667
    assert row["activation_rate"] == Decimal("0.666667")
    assert row["readiness_rate"] == Decimal("0.833333")


def test_caps_and_dated_weights() -> None:
    dials = model("winsorized", did=1)
    dials["engagement_weights"] = [
        dial("engagement_weights", score_model="default", event_key="did", **cells)
        for cells in (
            {"weight": "0.5", "daily_cap": 3, "valid_to": "2024-06-29"},
            {"weight": "2.0001", "valid_from": "2024-06-30"},
        )
    ]
    tracks = events("acme", "ann", "did", 5, AS_OF - timedelta(days=1))
    tracks += events("acme", "ann", "did", 2)
    row = one(build({"tracks": tracks}, dials, AS_OF)["user_engagement"])
    assert row["engagement_points"] == Decimal("5.5002")
    assert (row["day_points"], row["event_count"], row["active_day_count"]) == (
        Decimal("4.0002"),
        2,
        2,
    )


def test_properties_choose_the_key_by_their_json_text() -> None:
    conditions = {"hd": ("hd", "true"), "six": ("quality", "6"), "with": ("to", "")}
    dials = {
        "tracked_events": [
            dial("tracked_events", event_key=k, event_name="e", property_name=n, property_value=v)
            for k, (n, v) in conditions.items()
        ],
    }
    properties = ['{"hd":true,"quality":"6"}', '{"hd":"True","to":null}', '{"to":{},"quality":6}']
    tracks = [
        events("acme", "ann", "e", 1)[0] | {"id": str(n), "properties": text}
        for n, text in enumerate([*properties, "{"])
    ]
    marts = build({"tracks": tracks}, dials, AS_OF)
    counts = {row["event_key"]: row["event_count"] for row in marts["event_usage_daily"]}
    assert counts == {"hd": 1, "six": 2, "with": 1}
    assert one(marts["unmapped_events"])["event_count"] == 2


# --- what must always hold ----------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(cases())
def test_no_row_is_lost(case: Case) -> None:
    row = one(build(*case)["data_quality"])
    fates = (
        "counted duplicates missing_id missing_event bad_timestamp no_identity excluded anonymous "
        "waiting"
    )
    assert row["received"] == len(case.raw["tracks"]) == sum(row[fate] for fate in fates.split())


@pytest.mark.parametrize("seed", range(5))
def test_history_stays_as_it_was_when_days_pass(seed: int) -> None:
    case = random_case(seed, USUAL)
    for row in case.raw["tracks"]:
        # a later identification, joining or trait may give earlier events another owner
        row["user_id"] = clean(row["user_id"]) or "someone"
        row["context_group_id"] = clean(row.get("context_group_id")) or "somewhere"
    dials = case.dials | {"exclusions": []}
    before = case.as_of - timedelta(days=20)
    then = build(case.raw, dials, before, case.timezone)
    now = build(case.raw, dials, case.as_of, case.timezone)
    for table in ("account_activation_daily", "account_engagement_daily", "user_engagement_daily"):
        history = [
            {name: value for name, value in row.items() if not name.endswith("_restated")}
            for rows in (then[table], now[table])
            for row in rows
            if row["date"] <= before
        ]
        assert history[: len(then[table])] == history[len(then[table]) :]


@pytest.mark.parametrize("kind", ["parquet", "ndjson", "csv"])
def test_a_case_means_the_same_after_it_is_written(tmp_path: Path, kind: str) -> None:
    case = random_case(3, USUAL)
    for row in case.raw["tracks"]:
        del row["_load_id"]  # a file does not say by which load it will come
    landing, seeds = write_case(case.raw, case.dials, tmp_path, kind)
    raw: dict[str, list[Row]] = {}
    for path in landing.iterdir():
        if kind == "parquet":
            rows = pl.read_parquet(path).to_dicts()
        elif kind == "ndjson":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        else:
            with path.open(newline="", encoding="utf-8") as file:
                rows = [
                    {name: text or None for name, text in row.items()}
                    for row in csv.DictReader(file)
                ]
        raw[path.stem] = rows
    assert build(raw, read_dials(seeds), case.as_of, case.timezone) == build(*case)


# --- real data ----------------------------------------------------------------------------------


def read_dials(folder: Path) -> dict[str, list[dict[str, str]]]:
    dials = {}
    for path in folder.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            dials[path.stem] = list(csv.DictReader(file))
    return dials


def number(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def test_real_events_give_the_expected_values() -> None:
    if not OULAD.is_dir():
        pytest.skip(f"the open-university data is not at {OULAD}")
    day = date(2014, 2, 10)
    raw = {
        table: pl.read_parquet(OULAD / f"{table}.parquet").to_dicts()
        for table in ("tracks", "identifies", "groups")
    }
    marts = build(raw, read_dials(OULAD / "seeds"), day, days={day})
    for table, key in (("account_engagement", 2), ("account_activation", 1)):
        path = OULAD / "expected" / f"{table}_{day}.csv"
        with path.open(newline="", encoding="utf-8") as file:
            expected = list(csv.DictReader(file))
        columns = list(expected[0])
        got = {tuple(row[c] for c in columns[:key]): row for row in marts[table]}
        assert got.keys() == {tuple(row[c] for c in columns[:key]) for row in expected}
        for row in expected:
            found = got[tuple(row[c] for c in columns[:key])]
            for column in columns[key:]:
                value = row[column]
                assert found[column] == (value if column == "missing_steps" else number(value))
