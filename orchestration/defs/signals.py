"""The signals as Dagster assets: read marts, call the pure functions, write typed tables.

What belongs here: which facts are read, how a table is written, and its check. What a number means
stands in `orchestration.signals`.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date

import dagster as dg
import duckdb
import polars as pl

from orchestration import tested
from orchestration.defs.resources import OWNERS, Request, Warehouse, told_plainly
from orchestration.defs.signal_facts import READS, Details, FactReader, in_turn, with_details
from orchestration.dials import Dials, load_dials
from orchestration.signals import tables
from orchestration.signals.churn_risk import Ranked, get_ready, look, tell_churn_risk
from orchestration.signals.facts import Block, Entity
from orchestration.signals.flags import RULES, describe
from orchestration.signals.tables import Table
from orchestration.signals.track_record import TOLD_HORIZON, Checked, check, judge_flags
from orchestration.signals.trends import score_trends
from orchestration.signals.watch import Watched, watch
from orchestration.signals.weeks import HISTORY_DAYS
from orchestration.sql import literal

SCHEMA = "marts"
CHECK_NAME = "key_is_unique_and_not_null"
ENTITIES: tuple[Entity, ...] = ("account", "user")

# Days with points, on the days also on which a model's filters did not let the account in: its
# points count those too.
DAILY_POINTS = """
    select
        scored.entity,
        cast(date_diff('day', point_days.event_date, $as_of) as smallint) as age,
        cast(point_days.day_points as double) as points
    from intermediate.int_point_days as point_days
    inner join scored using (score_model, {keys})
    where point_days.event_date <= $as_of
        and date_diff('day', point_days.event_date, $as_of) < $history_days
"""

LAST_ACTIVE = """
    select score_model, {keys}, max(event_date) as last_active_date
    from intermediate.int_point_days
    where event_date <= $as_of and day_points > 0
    group by all
"""

ACCOUNT_ENTITIES = """
    select
        engagement.score_model,
        engagement.account_id,
        engagement.is_default_model,
        accounts.first_seen_date as observed_from,
        last_active.last_active_date
    from marts.account_engagement as engagement
    inner join marts.accounts on engagement.account_id = accounts.account_id
    left join last_active
        on
            engagement.score_model = last_active.score_model
            and engagement.account_id = last_active.account_id
"""

USER_ENTITIES = """
    select
        engagement.score_model,
        engagement.account_id,
        engagement.user_id,
        engagement.is_default_model,
        seen.first_seen_date as observed_from,
        last_active.last_active_date
    from marts.user_engagement as engagement
    inner join marts.user_accounts as seen
        on engagement.account_id = seen.account_id and engagement.user_id = seen.user_id
    left join last_active
        on
            engagement.score_model = last_active.score_model
            and engagement.account_id = last_active.account_id
            and engagement.user_id = last_active.user_id
"""


def build_account_trends(connection: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Trends of every account and score model scored on the as-of date."""
    return _build_trends(connection, as_of, ACCOUNT_ENTITIES, tables.ACCOUNT_SCORE_TRENDS)


def build_user_trends(connection: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Trends of every account, user and score model scored on the as-of date."""
    return _build_trends(connection, as_of, USER_ENTITIES, tables.USER_SCORE_TRENDS)


def _build_trends(
    connection: duckdb.DuckDBPyConnection, as_of: date, entities: str, table: Table
) -> pl.DataFrame:
    keys = ", ".join(table.key[1:])
    last_active = connection.sql(LAST_ACTIVE.format(keys=keys), params={"as_of": as_of}).pl()
    connection.register("last_active", last_active)
    try:
        scored = connection.sql(entities).pl().with_row_index("entity")
    finally:
        connection.unregister("last_active")
    connection.register("scored", scored)
    try:
        daily = connection.sql(
            DAILY_POINTS.format(keys=keys), params={"as_of": as_of, "history_days": HISTORY_DAYS}
        ).pl()
    finally:
        connection.unregister("scored")
    return score_trends(scored, daily, table.key, as_of)


def build_flags(
    connection: duckdb.DuckDBPyConnection, as_of: date, dials: Dials
) -> dict[str, pl.DataFrame]:
    """Follow every rule over all days, and rank the accounts.

    Args:
        connection: An open warehouse with the marts of the as-of date.
        as_of: The last day.
        dials: The rules, and the fingerprint for the evidence.

    Returns:
        The rows of `flag_history`, `flag_performance`, `account_flags`, `user_flags`,
        `account_churn_risk` and `risk_ranking_performance`, by name.
    """
    reader = FactReader(connection, as_of)
    fleet, present = reader.fleet()
    found: dict[str, list[Watched]] = {}
    checked: list[Checked] = []
    ranked: list[Ranked] = []

    outcomes = reader.outcomes()
    get_ready(outcomes)
    feature_counts = reader.feature_counts()

    def examine(block: Block) -> tuple[Checked, Ranked, list[Watched]]:
        known = fleet.last(block.span.count)
        followed = [
            watched
            for entity in ENTITIES
            for watched in watch(block, known, entity, dials.flag_rules)
        ]
        return (
            check(block, followed),
            look(block, known, feature_counts[block.account]),
            [watched.without_days() for watched in followed],
        )

    for shown, measured, followed in in_turn(examine, reader.blocks(present)):
        checked.append(shown)
        ranked.append(measured)
        for watched in followed:
            found.setdefault(watched.rule.key, []).append(watched)
    chosen = {key: (parts[0].rule, parts[0].dial.severity) for key, parts in found.items()}
    with ThreadPoolExecutor() as pool:
        judging = pool.submit(judge_flags, checked, chosen, outcomes, reader.span, as_of)
        ranking = pool.submit(tell_churn_risk, ranked, outcomes, reader.span, as_of)
        opened = {key: pl.concat([part.opened for part in found[key]]) for key in found}
        details = reader.details(opened)
        # What has become rows of the mart is not kept twice.
        histories = [
            _history(opened.pop(key), details, found.pop(key)[0], dials.fingerprint)
            for key in list(found)
        ]
        performance, risks = judging.result(), ranking.result()
    history = pl.concat([tables.frame_of(tables.FLAG_HISTORY), *histories]).sort(
        "entity", "account_id", "user_id", "flag_key", "opened_date"
    )
    told = pl.DataFrame(
        [(dial.flag_key, dial.title, dial.playbook) for dial in dials.flag_rules],
        schema={"flag_key": pl.String, "title": pl.String, "playbook": pl.String},
        orient="row",
    )
    record = performance.filter(pl.col("horizon_days") == TOLD_HORIZON).select(
        "flag_key", "precision", "verdict"
    )
    muted = [
        dial.flag_key
        for dial in dials.flag_rules
        if RULES[dial.flag_key].given(dial)["mute_if_no_better_than_chance"]
    ]
    is_muted = pl.col("flag_key").is_in(muted) & (pl.col("verdict") == "no_better_than_chance")
    is_open = (
        history.filter(pl.col("closed_date").is_null())
        .join(told, on="flag_key")
        .join(record, on="flag_key", how="left")
        .filter(is_muted.fill_null(value=False).not_())
        .with_columns(as_of_date=pl.lit(as_of, dtype=pl.Date))
    )
    return {
        tables.FLAG_HISTORY.name: history,
        tables.FLAG_PERFORMANCE.name: performance,
        **risks,
    } | {
        table.name: is_open.filter(pl.col("entity") == entity)
        .select(column.name for column in table.columns)
        .sort(*table.key)
        for entity, table in (("account", tables.ACCOUNT_FLAGS), ("user", tables.USER_FLAGS))
    }


def _history(
    opened: pl.DataFrame, details: Details, watched: Watched, fingerprint: str
) -> pl.DataFrame:
    """The rows of one rule."""
    rule, dial = watched.rule, watched.dial
    flags = with_details(opened, rule, details)
    said = describe(flags, rule, dial, fingerprint)
    rows = pl.concat([flags.drop("account_id", "user_id", strict=False), said], how="horizontal")
    is_user = rule.entity == "user"
    return rows.with_columns(
        entity=pl.lit(rule.entity),
        user_id=pl.col("user_id") if is_user else pl.lit(None, dtype=pl.String),
        kind=pl.lit(rule.kind),
    ).select(column.name for column in tables.FLAG_HISTORY.columns)


def write_table(connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame) -> None:
    """Replace a mart by these rows, with its types and comments, all or nothing.

    Args:
        connection: An open warehouse without a transaction.
        table: What the mart looks like.
        rows: Its rows; columns are matched by name.
    """
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    names = ", ".join(column.name for column in table.columns)
    name = f"{SCHEMA}.{table.name}"
    comments = [f"comment on table {name} is {literal(table.description)}"] + [
        f"comment on column {name}.{column.name} is {literal(column.description)}"
        for column in table.columns
    ]
    connection.register("signal_rows", rows)
    connection.begin()
    try:
        connection.execute(f"create schema if not exists {SCHEMA}")
        connection.execute(f"create or replace table {name} ({columns})")
        connection.execute(f"insert into {name} select {names} from signal_rows")
        for comment in comments:
            connection.execute(comment)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.unregister("signal_rows")


def _key_meaning(table: Table) -> str:
    return f"Never null, and one row for each: `{', '.join(table.key)}`"


def check_key(connection: duckdb.DuckDBPyConnection, table: Table) -> dg.AssetCheckResult:
    """Count the rows of a mart whose key is incomplete or not theirs alone."""
    key = ", ".join(table.key)
    has_null = " or ".join(
        f"{column} is null" for column in table.key if column not in table.nullable
    )
    (wrong,) = connection.execute(
        f"""
        with keys as (
            select {has_null} as is_incomplete, count(*) as row_count
            from {SCHEMA}.{table.name}
            group by {key}, is_incomplete
        )
        select coalesce(sum(row_count), 0) from keys where is_incomplete or row_count > 1
        """
    ).fetchall()[0]
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey([SCHEMA, table.name]),
        check_name=CHECK_NAME,
        passed=wrong == 0,
        description=_key_meaning(table),
        metadata={"failed_row_count": int(wrong)},
    )


def _column_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.name not in table.key or column.name in table.nullable
                ),
            )
            for column in table.columns
        ],
        constraints=dg.TableConstraints(other=[f"unique ({', '.join(table.key)})"]),
    )


Build = Callable[[duckdb.DuckDBPyConnection, date, Dials], Iterable[tuple[Table, pl.DataFrame]]]


def _marts(
    name: str, made: tuple[Table, ...], build: Build, reads: Iterable[str]
) -> dg.AssetsDefinition:
    """Make the assets of marts that are computed together.

    Args:
        name: What the computation is called.
        made: What the marts look like.
        build: Makes their rows from the open warehouse, the as-of date and the dials.
        reads: The tables that it reads, as schema.name.
    """

    @dg.multi_asset(
        name=name,
        specs=[
            dg.AssetSpec(
                dg.AssetKey([SCHEMA, table.name]),
                deps=[dg.AssetKey(source.split(".")) for source in reads],
                group_name="signals",
                owners=OWNERS,
                kinds={"python", "polars", "duckdb"},
                description=table.description,
                metadata={"dagster/column_schema": _column_schema(table)},
            )
            for table in made
        ],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK_NAME,
                asset=dg.AssetKey([SCHEMA, table.name]),
                blocking=True,
                description=_key_meaning(table),
            )
            for table in made
        ],
    )
    def marts(
        context: dg.AssetExecutionContext,
        warehouse: Warehouse,
    ) -> Iterator[dg.MaterializeResult[None]]:
        settings = warehouse.settings
        with told_plainly(), closing(warehouse.connect()) as connection:
            as_of = Request.of(context, settings).as_of
            tested.redo(settings.tested_mark, as_of, name)
            passed = True
            for table, rows in build(connection, as_of, load_dials(settings.seeds)):
                write_table(connection, table, rows)
                checked = check_key(connection, table)
                passed = passed and checked.passed
                yield dg.MaterializeResult(
                    asset_key=dg.AssetKey([SCHEMA, table.name]),
                    metadata={"dagster/row_count": rows.height},
                    check_results=[checked],
                )
            if passed:
                tested.done(settings.tested_mark, as_of, name)

    return marts


user_score_trends = _marts(
    "user_score_trends",
    (tables.USER_SCORE_TRENDS,),
    lambda connection, as_of, _: [(tables.USER_SCORE_TRENDS, build_user_trends(connection, as_of))],
    reads=("intermediate.int_point_days", "marts.user_engagement", "marts.user_accounts"),
)

account_score_trends = _marts(
    "account_score_trends",
    (tables.ACCOUNT_SCORE_TRENDS,),
    lambda connection, as_of, _: [
        (tables.ACCOUNT_SCORE_TRENDS, build_account_trends(connection, as_of))
    ],
    reads=("intermediate.int_point_days", "marts.account_engagement", "marts.accounts"),
)

FLAG_TABLES = (
    tables.FLAG_HISTORY,
    tables.FLAG_PERFORMANCE,
    tables.ACCOUNT_FLAGS,
    tables.USER_FLAGS,
    tables.ACCOUNT_CHURN_RISK,
    tables.RISK_RANKING_PERFORMANCE,
)


def _flags(
    connection: duckdb.DuckDBPyConnection, as_of: date, dials: Dials
) -> Iterator[tuple[Table, pl.DataFrame]]:
    built = build_flags(connection, as_of, dials)
    for table in FLAG_TABLES:
        yield table, built[table.name]


flags = _marts("flags", FLAG_TABLES, _flags, reads=READS)

SIGNALS = (user_score_trends, account_score_trends, flags)
STEPS = tuple(made.node_def.name for made in SIGNALS)
