"""The simulated raw data: its size, its repeatability, and that what it says of itself is so."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.errors import InputError
from orchestration.simulate import SimulationResult, simulate, simulation

UNTIL = date(2026, 11, 20)
DAYS = 150
EVENTS = 120_000

Query = Callable[[str], list[tuple[Any, ...]]]

# Ids and names as the contract cleans them: trimmed; blank, null and undefined are missing.
CLEANED = """
    create macro cleaned(value) as
        if(lower(trim(value)) in ('', 'null', 'undefined'), null, trim(value))
"""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationResult]:
    out = tmp_path_factory.mktemp("simulated") / "raw"
    result = simulate(out, accounts=60, days=DAYS, events=EVENTS, until=UNTIL)
    return out, result


@pytest.fixture(scope="module")
def truths(simulated: tuple[Path, SimulationResult]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(simulated[1].truths.read_text())
    return loaded


@pytest.fixture(scope="module")
def query(simulated: tuple[Path, SimulationResult], truths: dict[str, Any]) -> Query:
    """SQL on the files; `judged` gives every event row the fate that the contract says."""
    out, _ = simulated
    staff = ", ".join(f"'{user}'" for user in truths["excluded"]["users"])
    con = duckdb.connect()
    con.execute(CLEANED)
    con.execute(f"create view tracks as from '{out}/tracks/*.parquet'")
    con.execute(f"create view identifies as from '{out}/identifies.parquet'")
    con.execute(f"create view groups as from '{out}/groups.parquet'")
    con.execute(f"""
        create table judged as
        with clean as (
            select
                cleaned(id) as id, cleaned(event) as event, cleaned(user_id) as user_id,
                cleaned(anonymous_id) as anonymous_id, cleaned(context_group_id) as group_id,
                "timestamp" as sent, coalesce(received_at, "timestamp") as received, properties
            from tracks
        ),
        screened as (
            select *, case
                when id is null then 'missing_id'
                when event is null then 'missing_event'
                when sent is null or sent < '2000-01-01'
                    or sent > received + interval 1 day then 'bad_timestamp'
                when coalesce(user_id, anonymous_id, group_id) is null then 'no_identity'
                when sent >= '{UNTIL + timedelta(days=1)}' then 'waiting'
                when user_id in ({staff}) or group_id like 'test-%' then 'excluded'
            end as fate
            from clean
        ),
        numbered as (
            select *, row_number() over (
                partition by id, fate is null
                order by sent, received, event nulls first, user_id nulls first,
                    anonymous_id nulls first, group_id nulls first, properties nulls first
            ) as copy
            from screened
        ),
        devices as (
            select distinct cleaned(anonymous_id) as anonymous_id, cleaned(user_id) as user_id
            from identifies
            where cleaned(id) is not null and "timestamp" > '2000-01-01'
            union
            select anonymous_id, user_id from numbered where fate is null and copy = 1
        ),
        owned as (
            select anonymous_id, min(user_id) as user_id
            from devices where anonymous_id is not null and user_id is not null group by 1
        ),
        joined as (
            select cleaned(user_id) as user_id, count(distinct cleaned(group_id)) as accounts
            from groups
            where cleaned(id) is not null and "timestamp" > '2000-01-01'
            group by 1
        )
        select
            numbered.* exclude (fate),
            coalesce(numbered.user_id, owned.user_id) as owner_id,
            coalesce(accounts, 0) as accounts,
            case
                when fate is not null then fate
                when copy > 1 then 'duplicate'
                when group_id is null and owner_id is null then 'anonymous'
                else 'counted'
            end as fate
        from numbered
        left join owned on numbered.anonymous_id = owned.anonymous_id
        left join joined on coalesce(numbered.user_id, owned.user_id) = joined.user_id
    """)
    return lambda text: con.execute(text).fetchall()


def story(truths: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [account for account in truths["accounts"] if account["story"] == name]


def days_before(count: int) -> str:
    return f"'{UNTIL - timedelta(days=count)}'"


def events_of(query: Query, account: dict[str, Any], condition: str = "true") -> int:
    rows = query(f"""
        select count(*) from judged
        where fate = 'counted' and group_id = '{account["account_id"]}' and ({condition})
    """)
    return int(rows[0][0])


# Size, repeatability, layout


@pytest.mark.parametrize(
    ("accounts", "days", "events"), [(27, 60, 5_000), (1, 7, 2_000), (100, 90, 20_000)]
)
def test_as_many_events_as_asked_for(tmp_path: Path, accounts: int, days: int, events: int) -> None:
    result = simulate(tmp_path / "raw", accounts=accounts, days=days, events=events, until=UNTIL)
    assert result.rows["tracks"] == pytest.approx(events, rel=0.02)


def test_without_a_number_an_account_has_18_and_a_half_events_a_day(tmp_path: Path) -> None:
    result = simulate(tmp_path / "raw", accounts=30, days=40, events=None, until=UNTIL)
    assert result.rows["tracks"] == pytest.approx(30 * 40 * 18.5, rel=0.02)


def test_it_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[str] = []
    size = {"accounts": 10, "days": 40, "events": 3_000}
    simulate(tmp_path / "raw", **size, until=UNTIL, progress=told.append)

    counts = [
        int(line.split(": ")[1].split(" of about ")[0].replace(",", ""))
        for line in told
        if " of about 3,000 events" in line
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


def test_the_same_arguments_give_the_same_bytes_on_one_thread(
    simulated: tuple[Path, SimulationResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "connect", lambda: duckdb.connect(config={"threads": 1}))
    simulate(tmp_path / "raw", accounts=60, days=DAYS, events=EVENTS, until=UNTIL)
    assert contents(tmp_path / "raw") == contents(simulated[0])


def test_another_seed_is_another_fleet(tmp_path: Path) -> None:
    for seed in (1, 2):
        simulate(tmp_path / str(seed), accounts=5, days=20, events=500, until=UNTIL, seed=seed)
    assert contents(tmp_path / "1")["groups.parquet"] != contents(tmp_path / "2")["groups.parquet"]


def test_files_follow_each_other_by_arrival(
    query: Query, simulated: tuple[Path, SimulationResult]
) -> None:
    files = sorted((simulated[0] / "tracks").iterdir())
    assert [path.name for path in files] == [
        "tracks-2026-06-24.parquet",
        "tracks-2026-07-01.parquet",
        "tracks-2026-08-01.parquet",
        "tracks-2026-09-01.parquet",
        "tracks-2026-10-01.parquet",
        "tracks-2026-11-01.parquet",
    ]
    arrivals = [
        query(f"""
            select min(coalesce(received_at, "timestamp")), max(coalesce(received_at, "timestamp"))
            from '{path}'
        """)[0]
        for path in files
    ]
    assert all(earlier[1] < later[0] for earlier, later in pairwise(arrivals))


def test_the_layout_is_the_contracts(
    query: Query, simulated: tuple[Path, SimulationResult]
) -> None:
    def columns(table: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in query(f"describe {table}")}

    assert columns("tracks") == {
        "id": "VARCHAR",
        "event": "VARCHAR",
        "user_id": "VARCHAR",
        "anonymous_id": "VARCHAR",
        "context_group_id": "VARCHAR",
        "timestamp": "TIMESTAMP",
        "received_at": "TIMESTAMP",
        "properties": "VARCHAR",
    }
    assert columns("identifies").items() >= {
        ("id", "VARCHAR"),
        ("timestamp", "TIMESTAMP"),
        ("created_at", "TIMESTAMP"),
        ("role", "VARCHAR"),
        ("title", "VARCHAR"),
    }
    assert columns("groups").items() >= {
        ("id", "VARCHAR"),
        ("group_id", "VARCHAR"),
        ("timestamp", "TIMESTAMP"),
        ("canceled_at", "TIMESTAMP"),
        ("seats", "BIGINT"),
        ("mrr", "BIGINT"),
        ("industry", "VARCHAR"),
        ("owner", "VARCHAR"),
    }
    out, result = simulated
    counted = {t: query(f"select count(*) from {t}")[0][0] for t in result.rows}
    assert counted == result.rows
    assert {path.name for path in out.iterdir()} == {
        "tracks",
        "identifies.parquet",
        "groups.parquet",
        "truths.json",
        "simulation.json",
    }


# What the delivery does to rows


def test_every_row_has_the_fate_that_was_planted(query: Query, truths: dict[str, Any]) -> None:
    fates: dict[str, int] = dict(query("select fate, count(*) from judged group by 1"))
    planted = truths["tracks"]
    assert fates == {
        "counted": planted["counted"],
        "duplicate": planted["duplicates"],
        "excluded": planted["excluded"],
        "anonymous": planted["anonymous"],
        "waiting": planted["waiting"],
        **planted["quarantined"],
    }
    assert all(fates.values())
    assert sum(fates.values()) == planted["received"]


def test_what_is_odd_about_counted_rows_is_as_planted(query: Query, truths: dict[str, Any]) -> None:
    rows = query("""
        select
            count(*) filter (received::date > sent::date),
            count(*) filter (group_id is null and accounts = 0),
            count(*) filter (group_id is null and accounts > 1),
            count(*) filter (properties is not null and not json_valid(properties))
        from judged where fate = 'counted'
    """)
    inside = truths["tracks"]["inside_counted"]
    names = ("late", "unattributed", "ambiguous_account", "bad_properties")
    assert dict(zip(names, rows[0], strict=True)) == inside
    assert all(inside.values())
    names_counted: dict[str, int] = dict(
        query("select event, count(*) from judged where fate = 'counted' group by 1")
    )
    assert names_counted == truths["tracks"]["counted_by_event"]


def test_ids_repeat_only_where_a_row_was_delivered_twice(
    query: Query, truths: dict[str, Any]
) -> None:
    [(rows, ids)] = query("select count(id), count(distinct id) from judged")
    [(excluded_twice,)] = query("select count(*) from judged where fate = 'excluded' and copy > 1")
    assert rows - ids == truths["tracks"]["duplicates"] + excluded_twice
    [(same, later, shifted)] = query("""
        with twice as (
            select id, count(distinct received) as receipts, count(distinct sent) as times
            from judged where id is not null group by 1 having count(*) = 2
        )
        select
            count(*) filter (receipts = 1 and times = 1),
            count(*) filter (receipts = 2 and times = 1),
            count(*) filter (times = 2)
        from twice
    """)
    assert same > 0
    assert later > 0
    assert shifted > 0


def test_late_rows_are_late_by_hours_and_by_weeks(query: Query) -> None:
    [(hours, weeks)] = query("""
        select
            count(*) filter (received - sent between interval 2 hours and interval 1 day),
            count(*) filter (received - sent > interval 7 days)
        from judged where fate = 'counted'
    """)
    assert hours > 0
    assert weeks > 0


@pytest.mark.parametrize("table", ["identifies", "groups"])
def test_broken_and_repeated_rows_of_the_other_tables(
    query: Query, truths: dict[str, Any], table: str
) -> None:
    staff = ", ".join(f"'{user}'" for user in truths["excluded"]["users"])
    group = "group_id" if table == "groups" else "'-'"
    identity = (
        "user_id" if table == "groups" else "coalesce(cleaned(user_id), cleaned(anonymous_id))"
    )
    rows = query(f"""
        with screened as (
            select cleaned(id) as id, case
                when cleaned(id) is null then 'missing_id'
                when cleaned({group}) is null then 'missing_group'
                when "timestamp" is null or "timestamp" < '2000-01-01' then 'bad_timestamp'
                when '{table}' = 'identifies' and {identity} is null then 'no_identity'
                when cleaned(user_id) in ({staff}) or {group} like 'test-%' then 'excluded'
                else 'good'
            end as fate
            from {table}
        )
        select fate, count(*), count(distinct id) from screened group by 1
    """)
    fates = {fate: count for fate, count, _ in rows}
    planted = truths[table]
    assert fates == {
        "good": planted["counted"] + planted["duplicates"],
        "excluded": planted["excluded"],
        **planted["quarantined"],
    }
    [good] = [row for row in rows if row[0] == "good"]
    assert good[1] - good[2] == planted["duplicates"] > 0
    assert sum(fates.values()) == planted["received"]


def test_a_comment_has_its_old_name_then_both_then_the_new_one(
    query: Query, truths: dict[str, Any]
) -> None:
    renamed = truths["renamed_event"]
    assert (renamed["from"], renamed["to"]) == ("2026-10-02", "2026-10-15")
    spans = {
        name: (first.isoformat(), last.isoformat())
        for name, first, last in query("""
            select event, min(sent)::date, max(sent)::date
            from judged where fate = 'counted' and event like 'Comment %' group by 1
        """)
    }
    assert spans["Comment Added"][0] == "2026-06-24"
    assert renamed["from"] <= spans["Comment Added"][1] < renamed["to"]
    assert renamed["from"] <= spans["Comment Posted"][0] < renamed["to"]
    assert spans["Comment Posted"][1] == "2026-11-20"


def test_a_third_of_the_events_is_untracked(query: Query, truths: dict[str, Any]) -> None:
    by_event = truths["tracks"]["counted_by_event"]
    untracked = sum(by_event.get(name, 0) for name in truths["untracked_names"])
    assert untracked / truths["tracks"]["counted"] == pytest.approx(1 / 3, abs=0.04)
    assert set(by_event) == set(truths["tracked_names"]) | set(truths["untracked_names"])
    assert len(by_event) == 40
    assert {
        (event, properties)
        for event, properties in query("""
            select distinct event, properties from judged where event = 'Branding Updated'
        """)
    } == {("Branding Updated", '{"enabled":true}'), ("Branding Updated", '{"enabled":false}')}


# Who and where


def test_who_is_signed_in_on_a_shared_device_changes_during_the_day(
    query: Query, truths: dict[str, Any]
) -> None:
    device = truths["shared_devices"][0]
    first, second = device["device_only_events"]
    assert device["device_only_events"] == {first: 4, second: 2}
    signed_in = query(f"""
        select distinct cleaned(user_id), hour("timestamp") from identifies
        where anonymous_id = '{device["anonymous_id"]}' order by 2
    """)
    assert signed_in == [(first, 9), (second, 12), (first, 15)]
    hours = query(f"""
        select hour(sent) from judged
        where anonymous_id = '{device["anonymous_id"]}' and user_id is null and group_id is null
        order by 1
    """)
    assert hours == [(8,), (10,), (11,), (13,), (14,), (16,)]


def test_people_are_anonymous_before_they_sign_up(query: Query) -> None:
    [(users,)] = query("""
        select count(distinct owner_id) from judged
        where fate = 'counted' and user_id is null and group_id is null
            and sent < (
                select min("timestamp") from identifies
                where cleaned(identifies.user_id) = judged.owner_id
            )
    """)
    assert users >= 10


def test_backend_events_name_an_account_and_nobody(query: Query) -> None:
    [(events,)] = query("""
        select count(*) from judged
        where fate = 'counted' and group_id is not null and user_id is null
            and anonymous_id is null and event = 'Caption Generated'
    """)
    assert events >= 20


def test_some_users_work_for_two_accounts(query: Query, truths: dict[str, Any]) -> None:
    user = truths["two_account_users"][0]
    accounts = query(f"""
        select distinct group_id from judged where fate = 'counted' and user_id = '{user}'
            and group_id is not null
    """)
    assert len(accounts) == 2


def test_own_staff_and_the_test_account_can_be_told_by_pattern(
    query: Query, truths: dict[str, Any]
) -> None:
    staff = query("""
        select distinct cleaned(user_id) from identifies where email like '%@framewise.example'
    """)
    assert {user for (user,) in staff} == set(truths["excluded"]["users"])
    assert query("select count(*) > 0 from judged where group_id = 'test-framewise'") == [(True,)]


# Stories


def test_each_story_is_lived_at_least_once(truths: dict[str, Any]) -> None:
    assert len(truths["stories"]) == 27
    assert sum(truths["stories"].values()) == 60 == len(truths["accounts"])


def test_the_biggest_account_uploads_daily_and_ignores_what_is_new(
    query: Query, truths: dict[str, Any]
) -> None:
    [golden] = story(truths, "golden")
    assert golden["expected_flags"] == ["high_engagement_low_activation"]
    assert golden["user_count"] == max(a["user_count"] for a in truths["accounts"])
    busiest = query("""
        select group_id from judged where fate = 'counted' and group_id is not null
        group by 1 order by count(*) desc limit 1
    """)
    assert busiest == [(golden["account_id"],)]
    used = query(f"""
        select event, count(distinct sent::date), count(distinct user_id)
        from judged where fate = 'counted' and group_id = '{golden["account_id"]}' group by 1
    """)
    days = {event: count for event, count, _ in used}
    assert days["Video Uploaded"] == DAYS
    assert not {"AI Edit Applied", "Analytics Viewed", "Integration Connected"} & days.keys()
    assert events_of(query, golden, "event = 'Branding Updated'") > 0
    assert events_of(query, golden, """properties = '{"enabled":true}'""") == 0


def test_in_a_fleet_of_300_the_biggest_account_has_hundreds_of_users(tmp_path: Path) -> None:
    simulate(tmp_path / "raw", accounts=300, days=180, events=200_000, until=UNTIL)
    accounts = json.loads((tmp_path / "raw" / "truths.json").read_text())["accounts"]
    sizes = sorted((a["user_count"] for a in accounts), reverse=True)
    assert accounts[0]["story"] == "golden"
    assert accounts[0]["user_count"] == sizes[0]
    assert sizes[0] > 200
    assert sizes[0] >= 1.8 * sizes[1]


def test_fading_accounts_do_a_fraction_of_what_they_did(
    query: Query, truths: dict[str, Any]
) -> None:
    for account in story(truths, "fading") + story(truths, "fading_before_renewal"):
        now = events_of(query, account, f"sent::date > {days_before(14)}") / 2
        before = events_of(query, account, f"sent::date <= {days_before(56)}") / ((DAYS - 56) / 7)
        assert now < 0.5 * before
        assert "falling_engagement" in account["expected_flags"]


def test_dormant_accounts_pay_and_are_silent(query: Query, truths: dict[str, Any]) -> None:
    for account in story(truths, "dormant"):
        assert account["account_status"] == "paid"
        assert events_of(query, account) > 0
        assert events_of(query, account, f"sent::date > {days_before(32)}") == 0


def test_who_cancels_is_silent_afterwards(query: Query, truths: dict[str, Any]) -> None:
    churned = story(truths, "churned") + story(truths, "churned_suddenly")
    for account in churned:
        canceled = account["dates"]["canceled"]
        assert account["account_status"] == "canceled"
        assert events_of(query, account, f"sent::date > '{canceled}'") == 0
        assert query(f"""
            select max(canceled_at)::date::varchar from groups
            where group_id = '{account["account_id"]}'
        """) == [(canceled,)]


def test_one_customer_cancels_and_signs_again_three_months_later(
    query: Query, truths: dict[str, Any]
) -> None:
    account = story(truths, "returned")[0]
    dates = {name: date.fromisoformat(day) for name, day in account["dates"].items()}
    assert dates["signed_again"] - dates["canceled"] == timedelta(days=92)
    assert account["account_status"] == "paid"
    [(last_contract, canceled)] = query(f"""
        select max(contract_started_at)::date, max(canceled_at)::date from groups
        where group_id = '{account["account_id"]}'
    """)
    assert (last_contract, canceled) == (dates["signed_again"], dates["canceled"])
    # A row that still knows the cancellation would say nothing about the new contract.
    assert query(f"""
        select count(*) from groups where group_id = '{account["account_id"]}'
            and contract_started_at::date = '{last_contract}' and canceled_at is not null
    """) == [(0,)]
    between = f"sent::date > '{canceled}' and sent::date < '{last_contract}'"
    assert events_of(query, account, between) == 0
    assert events_of(query, account, f"sent::date >= '{last_contract}'") > 0


def test_drifting_accounts_stop_what_is_valued_and_go_on(
    query: Query, truths: dict[str, Any]
) -> None:
    valued = "event in ('AI Edit Applied', 'Analytics Viewed')"
    for account in story(truths, "drifting"):
        since = account["dates"]["drifts_from"]
        assert events_of(query, account, f"{valued} and sent::date < '{since}'") > 0
        assert events_of(query, account, f"{valued} and sent::date >= '{since}'") == 0
        after = events_of(query, account, f"sent::date >= '{since}'")
        weeks_after = ((UNTIL - date.fromisoformat(since)).days + 1) / 7
        before = events_of(query, account, f"sent::date < '{since}'")
        assert after / weeks_after > 0.6 * before / (DAYS / 7 - weeks_after)


def test_a_champion_falls_silent_and_the_others_go_on(query: Query, truths: dict[str, Any]) -> None:
    for account in story(truths, "champion_gone"):
        silent, main = account["dates"]["champion_silent_from"], account["main_user_id"]
        of_main = f"coalesce(user_id, owner_id) = '{main}'"
        before = events_of(query, account, f"sent::date < '{silent}'")
        assert events_of(query, account, f"sent::date < '{silent}' and {of_main}") > before / 2
        assert events_of(query, account, f"sent::date >= '{silent}' and {of_main}") == 0
        assert events_of(query, account, f"sent::date >= '{silent}'") > 0


def test_some_fade_while_their_contract_is_about_to_end(
    query: Query, truths: dict[str, Any]
) -> None:
    for account in story(truths, "fading_before_renewal"):
        assert account["expected_flags"] == ["falling_engagement", "renewal_at_risk"]
        [(ends,)] = query(f"""
            select max(contract_ends_at)::date from groups
            where group_id = '{account["account_id"]}'
        """)
        assert timedelta(days=15) <= ends - UNTIL <= timedelta(days=80)


def test_statuses_come_in_the_words_of_many_sources(query: Query, truths: dict[str, Any]) -> None:
    words = {word for (word,) in query("select distinct lower(status) from groups") if word}
    assert words >= {"paid", "active", "trial", "canceled", "past due"}
    assert words <= {"paid", "active", "trial", "trialing"} | {
        "canceled",
        "cancelled",
        "churned",
        "past due",
    }
    assert query("""
        select count(distinct id) from groups
        where status = 'Past due' and "timestamp" > '2000-01-01' and cleaned(id) is not null
    """) == [(truths["groups"]["unknown_statuses"],)]


def test_a_stalled_account_signed_more_than_half_a_year_ago(
    query: Query, truths: dict[str, Any]
) -> None:
    for account in story(truths, "stalled"):
        [(signed,)] = query(f"""
            select min(contract_started_at)::date from groups
            where group_id = '{account["account_id"]}'
        """)
        assert (UNTIL - signed).days > 180


def test_trials_last_two_weeks_to_a_month_and_end_in_every_way(
    query: Query, truths: dict[str, Any]
) -> None:
    statuses = {
        "trial_ready": "trial",
        "trial_stalled": "trial",
        "trial_new": "trial",
        "trial_expired": "expired",
        "trial_converted": "paid",
    }
    for name, status in statuses.items():
        for account in story(truths, name):
            assert account["account_status"] == status
            start = date.fromisoformat(account["dates"]["trial_from"])
            end = date.fromisoformat(account["dates"]["trial_to"])
            assert timedelta(days=14) <= end - start <= timedelta(days=30)
            assert (end >= UNTIL) == (status == "trial") or status == "paid"
            assert query(f"""
                select min(trial_ends_at)::date, count(contract_started_at) > 0 from groups
                where group_id = '{account["account_id"]}'
            """) == [(end, status == "paid")]


def test_an_expansion_is_more_seats_for_more_money(query: Query, truths: dict[str, Any]) -> None:
    for account in story(truths, "expanded"):
        [(seats_before, seats_after, mrr_before, mrr_after)] = query(f"""
            select min(seats), max(seats), min(mrr), max(mrr) from groups
            where group_id = '{account["account_id"]}'
        """)
        assert seats_after > seats_before
        assert mrr_after > mrr_before


def test_weekends_and_the_holiday_are_quiet_for_everybody(
    query: Query, truths: dict[str, Any]
) -> None:
    assert truths["calendar"]["holiday_from"] == "2026-08-24"
    assert truths["calendar"]["holiday_to"] == "2026-09-06"

    def workdays(first: str, last: str) -> float:
        [(events,)] = query(f"""
            select count(*) from judged where fate = 'counted'
                and sent::date between '{first}' and '{last}' and isodow(sent) < 6
        """)
        return float(events) / 10

    assert workdays("2026-08-24", "2026-09-06") < 0.5 * workdays("2026-08-10", "2026-08-23")
    [(weekend, week)] = query("""
        select count(*) filter (isodow(sent) > 5) / 2, count(*) filter (isodow(sent) < 6) / 5
        from judged where fate = 'counted'
    """)
    assert weekend < 0.5 * week


# The folder


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty") as caught:
        simulate(tmp_path, accounts=2, days=10, events=100, until=UNTIL)
    assert len(caught.value.problems) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_another_simulation_is_not_overwritten_and_the_same_one_is(tmp_path: Path) -> None:
    simulate(tmp_path, accounts=2, days=10, events=300, until=UNTIL)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="holds another simulation") as caught:
        simulate(tmp_path, accounts=3, days=10, events=300, until=UNTIL)
    assert len(caught.value.problems) == 1
    simulate(tmp_path, accounts=2, days=10, events=300, until=UNTIL)
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        simulate(tmp_path / "file" / "raw", accounts=2, days=10, events=100, until=UNTIL)


def test_every_number_out_of_range_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        simulate(tmp_path / "raw", accounts=0, days=3, events=0, until=UNTIL)
    assert len(caught.value.problems) == 3
    assert not (tmp_path / "raw").exists()
