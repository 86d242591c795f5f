"""Engagement and activation as an analyst would script them in pandas: everything in memory.

Usage: pandas_way.py RAW AS_OF OUT. Reads the raw Parquet files and the dials, and puts the default
score model's account_engagement_daily and user_engagement_daily, and account_activation as of the
as-of date, into a DuckDB file. Days are cut in UTC; account steps of traits, and filters by plan,
are not known here.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from floor import SEEDS

MEMBER_DAYS = 90
FOR_EVER = 36_500
DAY = pd.Timedelta(days=1)


def cleaned(text: pd.Series) -> pd.Series:
    """Return text without blanks around it; blank, null and undefined are missing."""
    text = text.str.strip(" \t\n\r\f\v")
    return text.mask(text.str.lower().isin(["", "null", "undefined"]))


def read_raw(raw: Path, table: str, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the rows of a raw table that are neither broken nor of a later day."""
    files = sorted(raw.rglob(f"{table}*.parquet"))
    rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    rows = rows.rename(columns={"context_group_id": "account_id", "group_id": "account_id"})
    for column in ("id", "event", "user_id", "anonymous_id", "account_id", "email"):
        if column in rows:
            rows[column] = cleaned(rows[column])
    rows["received_at"] = rows["received_at"].fillna(rows["timestamp"])
    identities = [name for name in ("user_id", "anonymous_id", "account_id") if name in rows]
    rows = rows[
        rows["id"].notna()
        & (rows["timestamp"] >= pd.Timestamp("2000-01-01"))
        & (rows["timestamp"] <= rows["received_at"] + DAY)
        & (rows["timestamp"] < as_of + DAY)
        & rows[identities].notna().any(axis=1)
    ]
    required = {"tracks": "event", "groups": "account_id", "identifies": "id"}[table]
    return rows[rows[required].notna()].assign(date=lambda rows: rows["timestamp"].dt.normalize())


def excluded(rows: pd.DataFrame, entity: str, others: pd.Series) -> set[str]:
    """Return the ids that an exclusion matches, by id or by a trait's last value."""
    dials = pd.read_csv(SEEDS / "exclusions.csv").query("entity == @entity")
    key, found = f"{entity}_id", set()
    for column, pattern in dials[["column", "pattern"]].itertuples(index=False):
        regex = ".*".join(map(re.escape, pattern.lower().split("*")))
        if column == key:
            values = pd.concat([rows[key], others]).dropna().drop_duplicates()
            last = values.set_axis(values)
        else:
            last = rows[rows[column].notna()].sort_values(["timestamp", "id"])
            last = last.groupby(key)[column].last()
        found |= set(last[last.str.lower().str.fullmatch(regex)].index)
    return found


def deduplicated(rows: pd.DataFrame) -> pd.DataFrame:
    """Return of each id the first row."""
    twice = rows["id"].duplicated(keep=False)
    others = ["event", "user_id", "anonymous_id", "account_id", "properties"]
    order = ["timestamp", "received_at", *(name for name in others if name in rows)]
    first = rows[twice].sort_values(order, na_position="first").drop_duplicates("id")
    return pd.concat([rows[~twice], first], ignore_index=True)


def latest(events: pd.DataFrame, facts: pd.DataFrame, by: str, value: str) -> pd.Series:
    """Return for each event the value of the last fact before it, or of the first one after it."""
    events = events[["timestamp", by]].sort_values("timestamp").reset_index(names="row")
    facts = facts[["timestamp", by, value]].sort_values("timestamp")
    before = pd.merge_asof(events, facts, on="timestamp", by=by)
    after = pd.merge_asof(events, facts, on="timestamp", by=by, direction="forward")
    return before[value].fillna(after[value]).set_axis(events["row"])


def attributed(
    tracks: pd.DataFrame, identifies: pd.DataFrame, groups: pd.DataFrame
) -> pd.DataFrame:
    """Return the events with their user and account filled in."""
    named = pd.concat([identifies, tracks])[["anonymous_id", "user_id", "timestamp"]].dropna()
    named = named.groupby(["anonymous_id", "timestamp"], as_index=False)["user_id"].min()
    nameless = tracks["user_id"].isna() & tracks["anonymous_id"].notna()
    found = latest(tracks[nameless], named, "anonymous_id", "user_id")
    tracks["user_id"] = tracks["user_id"].fillna(found)

    joins = groups[groups["user_id"].notna()].sort_values(["timestamp", "id"])
    joins = joins.drop_duplicates(["user_id", "timestamp"], keep="last")
    homeless = tracks["account_id"].isna() & tracks["user_id"].notna()
    found = latest(tracks[homeless], joins, "user_id", "account_id")
    tracks["account_id"] = tracks["account_id"].fillna(found)
    return tracks[tracks["account_id"].notna()]


def property_of(text: object, name: str) -> str | None:
    """Return a top-level value of a JSON object as text."""
    try:
        value = json.loads(str(text)).get(name)
    except (ValueError, AttributeError):
        return None
    return value if isinstance(value, str | None) else json.dumps(value)


def with_keys(events: pd.DataFrame) -> pd.DataFrame:
    """Return a row per event and event key that it counts for."""
    dials = pd.read_csv(SEEDS / "tracked_events.csv", dtype=str)
    parts = []
    for dial in dials.itertuples():
        matching = events[events["event"] == dial.event_name]
        if isinstance(dial.property_name, str):
            given = matching["properties"].map(lambda text: property_of(text, dial.property_name))  # noqa: B023 - used at once
            wanted = dial.property_value
            matching = matching[given == wanted if isinstance(wanted, str) else given.notna()]
        parts.append(matching.assign(event_key=dial.event_key))
    keyed = pd.concat(parts)[["id", "account_id", "user_id", "date", "event_key"]]
    return keyed.drop_duplicates(["id", "event_key"])


def in_force(dials: pd.DataFrame, dates: pd.Series | pd.Timestamp) -> pd.Series:
    """Return which rows are in force on their dates."""
    begins = pd.to_datetime(dials["valid_from"]).fillna(pd.Timestamp("1900-01-01"))
    ends = pd.to_datetime(dials["valid_to"]).fillna(pd.Timestamp("2200-01-01"))
    return (begins <= dates) & (dates <= ends)


def points_per_day(keyed: pd.DataFrame) -> pd.DataFrame:
    """Return points and events per account, user and day of the default model."""
    weights = pd.read_csv(SEEDS / "engagement_weights.csv").query("score_model == 'default'")
    known = keyed[keyed["user_id"].notna()]
    cell = ["account_id", "user_id", "date"]
    counts = known.groupby([*cell, "event_key"], as_index=False).size().merge(weights)
    counts = counts[in_force(counts, counts["date"])]
    counts["points"] = np.fmin(counts["size"], counts["daily_cap"]) * counts["weight"]
    points = counts.groupby(cell)["points"].sum()
    matched = known.merge(weights[["event_key", "valid_from", "valid_to"]])
    matched = matched[in_force(matched, matched["date"])].drop_duplicates("id")
    return pd.DataFrame({"points": points, "event_count": matched.groupby(cell).size()})


def each_day(stretches: pd.DataFrame) -> pd.DataFrame:
    """Return a row per day from first to last."""
    lengths = ((stretches["last"] - stretches["first"]) // DAY + 1).to_numpy()
    rows = stretches.loc[stretches.index.repeat(lengths)]
    number = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows["date"] = rows["first"] + pd.to_timedelta(number, unit="D")
    return rows.drop(columns=["first", "last"])


def member_days(events: pd.DataFrame, groups: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return a row per account, user and day on which the user is a member, by stretch."""
    joined = groups[groups["user_id"].notna()].groupby(["account_id", "user_id"], as_index=False)
    signs = pd.concat([events[events["user_id"].notna()], joined["date"].min()])
    signs = signs[["account_id", "user_id", "date"]].drop_duplicates()
    signs = signs.sort_values(["account_id", "user_id", "date"])
    gap = signs.groupby(["account_id", "user_id"])["date"].diff()
    signs["stretch"] = (gap.isna() | (gap > MEMBER_DAYS * DAY)).cumsum()
    stretches = signs.groupby(["stretch", "account_id", "user_id"])["date"].agg(["min", "max"])
    stretches = stretches.rename(columns={"min": "first", "max": "last"}).reset_index()
    stretches["last"] = (stretches["last"] + (MEMBER_DAYS - 1) * DAY).clip(upper=as_of)
    return each_day(stretches)


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the benchmark of their day and their score."""
    positive = rows[rows["engagement_points"] > 0].groupby("date")["engagement_points"]
    rows["benchmark_points"] = rows["date"].map(positive.quantile(0.9).round(6))
    share = rows["engagement_points"] / rows["benchmark_points"]
    score = (100 * (1 - 10**-share)).fillna(0)
    return rows.assign(score_model="default", engagement_score=score.round(6))


def user_engagement(days: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of users, per member day."""
    models = pd.read_csv(SEEDS / "score_models.csv").set_index("score_model")
    window = int(models.loc["default", "window_days"])
    days = days.join(points, on=["account_id", "user_id", "date"]).reset_index(drop=True)
    days[["points", "event_count"]] = days[["points", "event_count"]].fillna(0)
    rolling = days.groupby("stretch")["points"].rolling(window, min_periods=1).sum()
    days["engagement_points"] = rolling.droplevel(0).round(4)
    return scored(days.astype({"event_count": int}))


def account_engagement(users: pd.DataFrame, accounts: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of accounts, from the day on which each was first seen."""
    users = users.assign(is_active=users["engagement_points"] > 0)
    sums = users.groupby(["account_id", "date"]).agg(
        event_count=("event_count", "sum"),
        engagement_points=("engagement_points", "sum"),
        user_count=("user_id", "size"),
        active_user_count=("is_active", "sum"),
    )
    rows = each_day(accounts).join(sums, on=["account_id", "date"])
    rows["engagement_points"] = rows["engagement_points"].fillna(0).round(4)
    counts = ["event_count", "user_count", "active_user_count"]
    return scored(rows.fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int)))


def met_days(keyed: pd.DataFrame, count_of: str, min_count: float, window: int) -> pd.DataFrame:
    """Return accounts and days with events on which so many were counted in the window."""
    cell = ["account_id", "date"]
    days = keyed.groupby(cell).size().rename("count").reset_index()
    if count_of == "users":
        users = keyed[keyed["user_id"].notna()][[*cell, "user_id"]].drop_duplicates()
        reach = [users.assign(date=users["date"] + day * DAY) for day in range(window)]
        counted = pd.concat(reach).drop_duplicates().groupby(cell).size().rename("counted")
        days = days.join(counted, on=cell)
    else:
        if count_of == "days":
            days["count"] = 1
        rolling = days.set_index("date").groupby("account_id")["count"].rolling(f"{window}D")
        days["counted"] = rolling.sum().to_numpy()
    return days[days["counted"] >= min_count]


def statuses(groups: pd.DataFrame, as_of: pd.Timestamp) -> pd.Series:
    """Return the status of accounts as of the as-of date, where a fact tells it."""
    groups = groups.sort_values(["timestamp", "id"])
    words = {"active": "paid", "trialing": "trial", "cancelled": "canceled", "churned": "canceled"}
    ends = groups[groups["trial_ends_at"].notna()]
    news = ends[ends["trial_ends_at"] != ends.groupby("account_id")["trial_ends_at"].shift()]
    facts = pd.concat(
        [
            groups.assign(status=cleaned(groups["status"]).str.lower().replace(words)),
            groups.assign(status="canceled", at=groups["canceled_at"]).dropna(subset="at"),
            groups.assign(status="paid", at=groups["contract_started_at"]).dropna(subset="at"),
            news.assign(status="trial"),
        ]
    )
    facts["at"] = facts["at"].fillna(facts["timestamp"])
    facts = facts[
        (facts[["at", "timestamp"]].max(axis=1) < as_of + DAY)
        & facts["status"].isin(["trial", "paid", "canceled"])
        & ((facts["status"] == "canceled") | ~(facts["canceled_at"] <= facts["timestamp"]))
    ]
    facts["rank"] = facts["status"].map({"trial": 1, "paid": 2, "canceled": 3})
    last = facts.sort_values(["at", "rank"]).groupby("account_id")["status"].last()
    is_over = ends.groupby("account_id")["trial_ends_at"].last().dt.normalize() <= as_of
    return last.mask((last == "trial") & is_over.reindex(last.index, fill_value=False), "expired")


def account_activation(
    keyed: pd.DataFrame,
    accounts: pd.DataFrame,
    status: pd.Series,
    users: pd.DataFrame,
    as_of: pd.Timestamp,
) -> pd.DataFrame:
    """Return how many of its steps each account has done by the as-of date."""
    steps = pd.read_csv(SEEDS / "activation_steps.csv").query("level == 'account'")
    steps = steps[in_force(steps, as_of)]
    if steps[["trait", "account_plan"]].notna().any(axis=None):
        sys.exit("account steps of traits, and filters by plan, are not known here")
    ids = pd.Index(accounts["account_id"])
    status = status.reindex(ids, fill_value="unknown")
    result = pd.DataFrame(0.0, index=ids, columns=["steps", "weight", "done", "done_weight"])
    for step in steps.fillna({"count_of": "events", "min_count": 1, "weight": 1}).itertuples():
        window = int(step.within_days) if step.within_days > 0 else FOR_EVER
        of_step = keyed[keyed["event_key"] == step.event_key]
        days = met_days(of_step, step.count_of, step.min_count, window)
        if step.expires_after_days > 0:
            days = days[days["date"] > as_of - step.expires_after_days * DAY]
        applies = status.eq(step.account_status) | pd.isna(step.account_status)
        is_done = applies & ids.isin(days["account_id"])
        result.loc[applies, ["steps", "weight"]] += [1, step.weight]
        result.loc[is_done, ["done", "done_weight"]] += [1, step.weight]
    members = users[users["date"] == as_of].groupby("account_id").size()
    return pd.DataFrame(
        {
            "account_id": ids,
            "step_count": result["steps"].astype(int),
            "completed_step_count": result["done"].astype(int),
            "user_count": members.reindex(ids, fill_value=0),
            "activation_rate": result["done_weight"] / result["weight"],
        }
    )


def main() -> None:
    """Read, count, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("raw", type=Path)
    parser.add_argument("as_of", type=pd.Timestamp)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    as_of = options.as_of

    tracks, identifies, groups = (
        read_raw(options.raw, table, as_of) for table in ("tracks", "identifies", "groups")
    )
    no_users = excluded(identifies, "user", pd.concat([tracks["user_id"], groups["user_id"]]))
    no_accounts = excluded(groups, "account", tracks["account_id"])
    tracks, groups = (
        deduplicated(rows[~rows["user_id"].isin(no_users) & ~rows["account_id"].isin(no_accounts)])
        for rows in (tracks, groups)
    )
    identifies = deduplicated(identifies[~identifies["user_id"].isin(no_users)])

    events = attributed(tracks, identifies, groups)
    keyed = with_keys(events)
    accounts = pd.concat([events, groups]).groupby("account_id")["date"].min()
    accounts = accounts.rename("first").reset_index().assign(last=as_of)
    users = user_engagement(member_days(events, groups, as_of), points_per_day(keyed))
    results = {
        "user_engagement_daily": users,
        "account_engagement_daily": account_engagement(users, accounts),
        "account_activation": account_activation(
            keyed, accounts, statuses(groups, as_of), users, as_of
        ),
    }
    with duckdb.connect(str(options.out)) as connection:
        for table, rows in results.items():
            connection.register("rows", rows)
            connection.execute(f"create table {table} as select * from rows")
            connection.unregister("rows")


if __name__ == "__main__":
    main()
