"""Flags and their history as marts, on a simulated product: what is read, written and promised."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import polars as pl
import pytest
from marts import CompiledMarts, raw_columns
from polars.testing import assert_frame_equal
from shuffled import Judged, finds_nothing

from orchestration.defs import signal_facts, signals
from orchestration.defs.resources import Warehouse
from orchestration.defs.signals import build_flags
from orchestration.dials import load_dials
from orchestration.project import CHECKOUT, Settings
from orchestration.signals.churn_risk import ChurnRisk, ranked_days
from orchestration.signals.facts import ALL_CELLS, account_facts
from orchestration.signals.flags import RULES
from orchestration.simulate import simulate

SEEDS = CHECKOUT / "seeds"
DIALS = load_dials(SEEDS)
LAST = date(2026, 6, 30)
EARLIER = tuple(LAST - timedelta(days=days) for days in (1, 20, 45))

# Rows that say who and where themselves: a later identification or join changes nothing of them.
RAW = {
    "tracks": "user_id is not null and context_group_id is not null",
    "identifies": "user_id is not null",
    "groups": "true",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "made"
    simulate(folder, accounts=54, days=150, events=60_000, until=LAST, seed=4)
    return folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> CompiledMarts:
    return CompiledMarts(tmp_path_factory.mktemp("compiled"))


def warehouse_of(
    compiled: CompiledMarts, raw: Path, folder: Path, as_of: date, kept: str = "true"
) -> Warehouse:
    """Build every SQL mart from the raw rows that were there by the end of a day.

    Args:
        compiled: The models.
        raw: The landing folder.
        folder: Where the warehouse goes.
        as_of: The last day.
        kept: Which tracks are there, as a condition.
    """
    folder.mkdir(exist_ok=True)
    with closing(duckdb.connect(str(folder / "work.duckdb"))) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for schema in ("raw", "reference", "staging", "intermediate", "marts", "ops"):
            connection.execute(f"create schema {schema}")
        for table, condition in RAW.items():
            files = f"{raw / table}/**" if (raw / table).is_dir() else f"{raw / table}*"
            connection.execute(f"create table raw.{table} ({raw_columns(table)})")
            there = connection.execute(f"describe from read_parquet('{files}')").fetchall()
            declared = raw_columns(table)
            names = ", ".join(f'"{row[0]}"' for row in there if f'"{row[0]}"' in declared)
            connection.execute(
                f"insert into raw.{table} by name select {names} from read_parquet('{files}') "
                f"where {condition} and {kept if table == 'tracks' else True} "
                "and cast(timestamp as timestamp) < ?",
                [as_of + timedelta(days=1)],
            )
        for table, columns in compiled.dial_types.items():
            types = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
            connection.execute(
                f"create table reference.{table} as "
                f"from read_csv('{SEEDS / table}.csv', header = true, columns = {{{types}}})"
            )
        compiled.build(connection, as_of, "UTC")
    settings = Settings(raw=raw, warehouse=folder, seeds=SEEDS, timezone="UTC")
    return Warehouse.of(settings)


@pytest.fixture(scope="module")
def warehouse(
    compiled: CompiledMarts, raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    return warehouse_of(compiled, raw, tmp_path_factory.mktemp("whole"), LAST)


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(warehouse.connect()) as opened:
        yield opened


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> dict[str, pl.DataFrame]:
    with closing(warehouse.connect()) as opened:
        return build_flags(opened, LAST, DIALS)


@pytest.mark.parametrize("day", EARLIER)
def test_with_everything_later_removed_flags_and_history_of_a_day_are_the_same(
    day: date,
    connection: duckdb.DuckDBPyConnection,
    compiled: CompiledMarts,
    raw: Path,
    tmp_path: Path,
) -> None:
    later = Judged(connection, day, DIALS)
    cut = warehouse_of(compiled, raw, tmp_path / "cut", day)
    with closing(cut.connect()) as opened:
        then = Judged(opened, day, DIALS)
    assert then.built["flag_history"].height > 100
    for name, rows in then.built.items():
        assert_frame_equal(later.built[name], rows)
    # What the model would look at, too, on every check: bit by bit.
    known_later, known_then = (ChurnRisk(seen.ranked, seen.span) for seen in (later, then))
    rows = [later.account_ids.index(key) for key in then.account_ids]
    assert known_then.at_risk.sum() > 300
    for name in ("features", "at_risk", "active_days", "history_days"):
        assert np.array_equal(getattr(known_later, name)[rows], getattr(known_then, name))
    assert_frame_equal(known_later.facts[rows], known_then.facts)


def test_a_day_without_data_is_the_pipelines_fault(
    connection: duckdb.DuckDBPyConnection,
    built: dict[str, pl.DataFrame],
    compiled: CompiledMarts,
    raw: Path,
    tmp_path: Path,
) -> None:
    gap = LAST - timedelta(days=2)
    missing = f"not (cast(timestamp as date) = date '{gap}' and hash(id) % 10 > 0)"
    broken = warehouse_of(compiled, raw, tmp_path / "gap", LAST, missing)
    collapsed = "select date from ops.gap_days"
    active = (
        "select event_date, count(distinct user_id) from intermediate.int_point_days"
        " where score_model = 'default' group by 1"
    )
    before = {day for (day,) in connection.execute(collapsed).fetchall()}
    with closing(broken.connect()) as opened:
        days = {day for (day,) in opened.execute(collapsed).fetchall()}
        ((told,),) = opened.execute("select gap_day_count from ops.data_quality").fetchall()
        (there,) = opened.execute("from ops.gap_days where date = ?", [gap]).fetchall()
        users = dict(opened.execute(active).fetchall())
        history = build_flags(opened, LAST, DIALS)["flag_history"]
    assert days == before | {gap}
    assert told == len(days)
    usual = median(users.get(gap - timedelta(weeks=week), 0) for week in range(1, 9))
    assert there == (users[gap], round(Decimal(users[gap]) / Decimal(usual), 6), gap)
    on_usage = [key for key, rule in RULES.items() if rule.rests_on_usage]
    usage = history.filter(pl.col("flag_key").is_in(on_usage))
    assert usage.height > 0
    assert gap not in set(usage["opened_date"])
    # Nobody became silent, or fell, because of it.
    columns = ("account_id", "user_id", "flag_key")
    whole = set(built["flag_history"].select(columns).rows())
    assert {row for row in usage.select(columns).rows() if row not in whole} == set()


def test_how_accounts_are_cut_into_blocks_changes_nothing(
    connection: duckdb.DuckDBPyConnection,
    built: dict[str, pl.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signal_facts, "MAX_CELLS", 150 * 40)
    monkeypatch.setattr(signal_facts, "PART_CELLS", 150 * 3)
    for name, rows in build_flags(connection, LAST, DIALS).items():
        assert_frame_equal(rows, built[name])


def test_open_flags_are_those_of_the_history_that_have_not_closed(
    built: dict[str, pl.DataFrame],
) -> None:
    history = built["flag_history"].filter(pl.col("closed_date").is_null())
    keys = ("account_id", "flag_key", "opened_date", "days_open", "severity")
    for entity, name in (("account", "account_flags"), ("user", "user_flags")):
        expected = history.filter(pl.col("entity") == entity)
        assert_frame_equal(built[name].select(keys), expected.select(keys), check_row_order=False)
        assert set(built[name]["as_of_date"]) == {LAST}


def test_history_keeps_order(built: dict[str, pl.DataFrame]) -> None:
    history = built["flag_history"]
    ended = history.filter(pl.col("closed_date").is_not_null())
    assert (ended["closed_date"] > ended["opened_date"]).all()
    whole = (ended["closed_date"] - ended["opened_date"]).dt.total_days()
    assert (ended["days_open"] <= whole).all()
    assert (ended["days_open"] == whole).filter(ended["relapse_count"] == 0).all()
    users = history["entity"] == "user"
    assert history.filter(users)["user_id"].null_count() == 0
    assert history.filter(~users)["user_id"].null_count() == (~users).sum()


def test_evidence_is_of_the_day_on_which_it_opened(
    built: dict[str, pl.DataFrame], connection: duckdb.DuckDBPyConnection
) -> None:
    stalled = built["flag_history"].filter(pl.col("flag_key") == "stalled_activation")
    expected = dict(
        connection.execute(
            """
            select (account_id, date), (activation_rate, readiness_rate)
            from marts.account_activation_daily
            """
        ).fetchall()
    )
    told = 0
    for account_id, opened, text in stalled.select(
        "account_id", "opened_date", "evidence"
    ).iter_rows():
        evidence = json.loads(text)
        assert evidence["as_of_date"] == opened.isoformat()
        assert evidence["dial_fingerprint"] == DIALS.fingerprint
        rates = expected[account_id, opened]
        assert (evidence["activation_rate"], evidence["readiness_rate"]) == tuple(
            None if rate is None else float(rate) for rate in rates
        )
        told += 1
    assert told >= 3


def test_title_and_playbook_are_the_dials(built: dict[str, pl.DataFrame]) -> None:
    dials = {dial.flag_key: (dial.title, dial.playbook) for dial in DIALS.flag_rules}
    for name in ("account_flags", "user_flags"):
        for key, title, playbook in built[name].select("flag_key", "title", "playbook").rows():
            assert (title, playbook) == dials[key]


def test_a_rule_that_is_switched_off_has_no_history(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for path in SEEDS.glob("*.csv"):
        text = path.read_text()
        if path.stem == "flag_rules":
            text = text.replace(
                "champion,user,opportunity,low,true", "champion,user,opportunity,low,false"
            )
        (tmp_path / path.name).write_text(text)
    rows = build_flags(connection, LAST, load_dials(tmp_path))["flag_history"]
    assert "champion" not in rows["flag_key"]


def test_a_warehouse_without_accounts_has_empty_tables(
    compiled: CompiledMarts, raw: Path, tmp_path: Path
) -> None:
    empty = warehouse_of(compiled, raw, tmp_path / "empty", date(2020, 1, 1))
    with closing(empty.connect()) as opened:
        built = build_flags(opened, date(2020, 1, 1), DIALS)
    assert {name: rows.height for name, rows in built.items()} == {
        "flag_history": 0,
        "flag_performance": 0,
        "account_flags": 0,
        "user_flags": 0,
        "account_churn_risk": 0,
        "risk_ranking_performance": 0,
    }


# Planted stories of the fixture: how many of how many have their flag on the last day.
FOUND = {
    ("golden", "high_engagement_low_activation"): (1, 1),
    ("fading", "falling_engagement"): (3, 3),
    ("fading_before_renewal", "falling_engagement"): (2, 2),
    ("fading_before_renewal", "renewal_at_risk"): (2, 2),
    ("dormant", "dormant"): (3, 3),
    ("stalled", "stalled_activation"): (2, 2),
    ("drifting", "value_drift"): (1, 1),
    ("champion_gone", "champion_gone"): (2, 2),
    ("trial_ready", "trial_ready_for_sales"): (2, 2),
    ("trial_stalled", "trial_stalled"): (1, 1),
    ("upsell_ready", "upsell_ready"): (2, 2),
    ("advocate", "social_proof"): (1, 1),
}


def test_planted_stories_are_found(raw: Path, built: dict[str, pl.DataFrame]) -> None:
    truths = json.loads((raw / "truths.json").read_text())["accounts"]
    is_open = set(built["account_flags"].select("account_id", "flag_key").rows())
    found: dict[tuple[str, str], list[int]] = {}
    for account in truths:
        for flag in account["expected_flags"]:
            counts = found.setdefault((account["story"], flag), [0, 0])
            counts[0] += (account["account_id"], flag) in is_open
            counts[1] += 1
    assert {story: tuple(counts) for story, counts in found.items()} == FOUND


def test_of_who_lives_without_a_story_one_is_flagged(
    raw: Path, built: dict[str, pl.DataFrame]
) -> None:
    truths = json.loads((raw / "truths.json").read_text())["accounts"]
    is_open = set(built["account_flags"].select("account_id", "flag_key").rows())
    wrong = [
        (account["story"], flag)
        for account in truths
        for flag in account["unexpected_flags"]
        if (account["account_id"], flag) in is_open
    ]
    # Of its three people nobody came for two weeks of April, and few days since.
    assert wrong == [("tiny", "falling_engagement")]
    assert sum(len(account["unexpected_flags"]) for account in truths) > 50


def test_a_silent_champion_is_named(
    built: dict[str, pl.DataFrame], connection: duckdb.DuckDBPyConnection
) -> None:
    gone = built["flag_history"].filter(pl.col("flag_key") == "champion_gone")
    assert gone.height > 2
    for row in gone.iter_rows(named=True):
        ((user, share),) = connection.execute(
            """
            select user_id, sum(day_points) filter (age >= 14) as points
            from (
                select *, date_diff('day', event_date, $opened) as age
                from intermediate.int_point_days
                where account_id = $account and score_model = 'default'
            )
            where age between 0 and 41
            group by user_id
            having count(*) filter (age < 14 and day_points > 0) = 0
            order by points desc, user_id
            limit 1
            """,
            {"account": row["account_id"], "opened": row["opened_date"]},
        ).fetchall()
        assert share > 0
        assert json.loads(row["evidence"])["silent_top_user"] == user
        assert row["sentence"].startswith(f"{user} had ")


def test_movers_are_compared_with_the_weeks_that_the_evidence_names(
    built: dict[str, pl.DataFrame], connection: duckdb.DuckDBPyConnection
) -> None:
    """Of an account that is new the days before its first whole week count for nothing."""
    checked = new = 0
    for row in built["flag_history"].filter(pl.col("entity") == "account").iter_rows(named=True):
        told = json.loads(row["evidence"])
        if not told.get("event_movers") or not told.get("baseline_from_date"):
            continue
        first, last = (date.fromisoformat(told[f"baseline_{end}_date"]) for end in ("from", "to"))
        weeks = ((last - first).days + 1) // 7
        usual = dict(
            connection.execute(
                "select event_key, sum(event_count) from intermediate.int_event_key_days"
                " where account_id = ? and event_date between ? and ? group by all",
                [row["account_id"], first, last],
            ).fetchall()
        )
        for mover in told["event_movers"]:
            assert mover["before"] == pytest.approx(usual.get(mover["name"], 0) / weeks, abs=1e-6)
            checked += 1
        new += weeks < 12
    assert checked > 40
    assert new >= 5


def test_rates_of_flagship_steps_have_six_places(connection: duckdb.DuckDBPyConnection) -> None:
    """A tenth of the members is a tenth, not what a short float makes of it."""
    reader = signal_facts.FactReader(connection, LAST)
    fleet, present = reader.fleet()
    rates = set()
    for block in reader.blocks(present):
        facts = account_facts(block, fleet.last(block.span.count))
        rates |= set(facts["flagship_rates"](ALL_CELLS).explode().drop_nulls().drop_nans())
    assert all(rate == round(rate, 6) for rate in rates)
    assert len(rates) > 50


def test_who_pays_after_the_trial_has_grown_whenever_that_is() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            """
            create schema intermediate;
            create table signal_accounts as
            from (values ('direct', 0), ('late', 1), ('back', 2)) as t(account_id, account);
            create table intermediate.int_account_states as
            select account_id, account_status, cast(valid_from as date) as valid_from
            from (values
                ('direct', 'trial', '2026-01-01'), ('direct', 'paid', '2026-01-11'),
                ('late', 'trial', '2026-01-01'), ('late', 'expired', '2026-01-15'),
                ('late', 'paid', '2026-01-21'),
                ('back', 'paid', '2026-01-01'), ('back', 'canceled', '2026-01-05'),
                ('back', 'paid', '2026-01-09')
            ) as t(account_id, account_status, valid_from);
            create table intermediate.int_account_contracts (
                account_id varchar, trait varchar, trait_count bigint, valid_from date
            );
            """
        )
        bounds = {"first_date": date(2026, 1, 1), "as_of": date(2026, 2, 1)}
        found = connection.execute(signal_facts.OUTCOMES, bounds).fetchall()

    assert found == [(0, 10, "grown"), (1, 20, "grown"), (2, 4, "canceled")]


def test_every_rule_is_judged_on_every_horizon(built: dict[str, pl.DataFrame]) -> None:
    record = built["flag_performance"]
    rules = {dial.flag_key for dial in DIALS.flag_rules} | {"any_high_risk"}
    assert set(record.select("flag_key", "horizon_days").rows()) == {
        (rule, days) for rule in rules for days in (28, 56, 90)
    }
    outcome = dict(record.select("flag_key", "outcome").rows())
    assert (outcome["dormant"], outcome["upsell_ready"]) == ("canceled", "grown")
    assert set(record["verdict"]) == {"not_enough_outcomes"}  # a few dozen accounts prove nothing
    assert record["lift"].null_count() == record.height
    for name in ("account_flags", "user_flags"):
        assert set(built[name]["verdict"]) == {"not_enough_outcomes"}


def test_checks_and_outcomes_are_counted_as_in_sql(
    built: dict[str, pl.DataFrame], connection: duckdb.DuckDBPyConnection
) -> None:
    """Mondays of accounts that could leave with 28 days to come, and departures within them."""
    expected = connection.execute(
        """
        with contracts as (
            select account_id, trait, trait_date, valid_from,
                lead(valid_from, 1, date '9999-12-31')
                    over (partition by account_id, trait order by valid_from) as until
            from intermediate.int_account_contracts
        ),
        checks as (
            select daily.account_id, date
            from marts.account_activation_daily as daily
            left join contracts as started on daily.account_id = started.account_id
                and started.trait = 'contract_started_at'
                and date >= started.valid_from and date < started.until
            left join contracts as ends on daily.account_id = ends.account_id
                and ends.trait = 'contract_ends_at'
                and date >= ends.valid_from and date < ends.until
            where account_status in ('paid', 'trial', 'unknown') and isodow(date) = 1
                and date <= ?::date - 28
                and coalesce(started.trait_date <= date, true)
                and coalesce(ends.trait_date >= date - 30, true)
        ),
        gone as (
            select account_id, min(date) as date from marts.account_activation_daily
            where account_status = 'canceled' group by 1
        )
        select
            count(*),
            count(*) filter (where gone.date > checks.date and gone.date <= checks.date + 28),
            count(distinct gone.account_id)
                filter (where gone.date > checks.date and gone.date <= checks.date + 28)
        from checks left join gone on checks.account_id = gone.account_id
        """,
        [LAST],
    ).fetchall()[0]
    record = built["flag_performance"].filter(
        (pl.col("flag_key") == "dormant") & (pl.col("horizon_days") == 28)
    )
    counts = ("checked_count", "outcome_count", "outcome_account_count")
    assert record.select(counts).row(0) == expected
    assert expected[2] >= 3


def test_accounts_are_ranked_as_in_sql(
    built: dict[str, pl.DataFrame], connection: duckdb.DuckDBPyConnection
) -> None:
    """Live accounts with a running contract; too few departures for anything but active days."""
    expected = connection.execute(
        """
        with live as (
            select account_id from marts.account_activation_daily
            inner join marts.accounts using (account_id)
            where date = $day and accounts.account_status in ('paid', 'trial', 'unknown')
                and coalesce(contract_started_date <= $day, true)
                and coalesce(contract_ends_date >= $day - 30, true)
        ),
        active as (
            select account_id, event_date, $day - event_date as age
            from intermediate.int_point_days
            where score_model = 'default' and day_points > 0 and event_date <= $day
            group by all
        ),
        counted as (
            select
                live.account_id, count(active.age) filter (where age < 14) as days,
                min(active.age) as silent
            from live left join active on live.account_id = active.account_id
            group by 1
        )
        select
            account_id,
            'active_days',
            'Active on ' || days || ' of the last 14 days.',
            case
                when silent is null then 'Never active.'
                when silent = 0 then 'Last active that day.'
                when silent = 1 then 'Last active 1 day ago.'
                else 'Last active ' || silent || ' days ago.'
            end,
            null,
            rank() over (order by days),
            $day
        from counted order by account_id
        """,
        {"day": LAST},
    ).fetchall()
    assert built["account_churn_risk"].rows() == expected
    statuses = dict(
        connection.execute("select account_id, account_status from marts.accounts").fetchall()
    )
    ranked = set(built["account_churn_risk"]["account_id"])
    assert len(ranked) > 40
    assert {statuses[key] for key in statuses.keys() - ranked} == {"canceled", "expired"}


def test_rankings_are_judged_on_every_horizon(built: dict[str, pl.DataFrame]) -> None:
    record = built["risk_ranking_performance"]
    assert set(record.select("ranking", "horizon_days").rows()) == {
        (ranking, days) for ranking in ("model", "active_days") for days in (28, 56, 90)
    }
    assert set(record.filter(pl.col("is_shown"))["ranking"]) == {"active_days"}
    assert set(record["verdict"]) == {"not_enough_outcomes"}
    assert record["auc"].null_count() == record.height
    assert "0 departures could be predicted" in record["reason"][0]


@pytest.mark.parametrize("last", [LAST, LAST - timedelta(days=1), LAST - timedelta(days=147)])
def test_features_in_use_are_counted_as_in_sql(
    connection: duckdb.DuckDBPyConnection, last: date
) -> None:
    """On every ranked day, also where the as-of date is no Monday or nothing came before it."""
    reader = signal_facts.FactReader(connection, last)
    days = ranked_days(reader.span)
    expected = connection.execute(
        """
        select account, day, count(distinct feature)
        from signal_accounts
        cross join unnest($days::int[]) as t(day)
        left join marts.event_usage_daily as daily
            on
                signal_accounts.account_id = daily.account_id
                and daily.date between $first + (day - 27) and $first + day
        group by all order by account, day
        """,
        {"days": days.tolist(), "first": reader.span.first_date},
    ).fetchall()
    counts = reader.feature_counts()
    assert counts.shape[1] == len(days)
    assert counts.ravel().tolist() == [count for _, _, count in expected]


def test_by_outcomes_shuffled_between_accounts_nothing_works(
    compiled: CompiledMarts, tmp_path: Path
) -> None:
    """The negative control, on a fleet with enough departures: 19 of 20 times at least."""
    made = tmp_path / "raw"
    simulate(made, accounts=1000, days=180, events=60_000, until=LAST, seed=5)
    large = warehouse_of(compiled, made, tmp_path / "large", LAST)
    with closing(large.connect()) as opened:
        judged = Judged(opened, LAST, DIALS)
    assert "works" in judged.built["flag_performance"]["verdict"]
    everybody = [None] * len(judged.account_ids)
    dealt = [judged.shuffled(everybody, seed) for seed in range(20)]
    assert "no_better_than_chance" in judged.verdicts(dealt[0]).filter(kind="risk")["verdict"]
    assert sum(finds_nothing(judged, outcomes) for outcomes in dealt) >= 19


def test_a_rule_that_does_not_work_may_be_muted(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = '""mute_if_no_better_than_chance"": '
    for path in SEEDS.glob("*.csv"):
        text = path.read_text()
        if path.stem == "flag_rules":
            rows = text.splitlines()
            rows = [
                r.replace(f"{mute}false", f"{mute}true") if "dormant," in r else r for r in rows
            ]
            text = "\n".join(rows) + "\n"
        (tmp_path / path.name).write_text(text)
    dials = load_dials(tmp_path)
    assert "dormant" in build_flags(connection, LAST, dials)["account_flags"]["flag_key"]
    judged = signals.judge_flags

    def of_no_use(*arguments: Any) -> pl.DataFrame:  # noqa: ANN401 - as they come
        return judged(*arguments).with_columns(verdict=pl.lit("no_better_than_chance"))

    monkeypatch.setattr(signals, "judge_flags", of_no_use)
    built = build_flags(connection, LAST, dials)
    assert "dormant" not in built["account_flags"]["flag_key"]
    assert "dormant" in built["flag_history"]["flag_key"]
    assert "stalled_activation" in built["account_flags"]["flag_key"]


def materialize(warehouse: Warehouse) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [signals.flags],
        resources={"warehouse": warehouse},
        tags={"dagster/partition": LAST.isoformat()},
        raise_on_error=False,
    )


def test_the_asset_writes_all_tables_with_counts_and_checks(
    warehouse: Warehouse, built: dict[str, pl.DataFrame]
) -> None:
    result = materialize(warehouse)
    assert result.success
    counts: dict[str, Any] = {
        event.asset_key.path[-1]: event.materialization.metadata["dagster/row_count"].value
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert counts == {name: rows.height for name, rows in built.items()}
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True] * 6
