"""The signals as Dagster assets: read marts, call the pure functions, write typed tables.

What belongs here: which facts are read, how a table is written, and its check. What a number means
stands in `orchestration.signals`.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import date

import dagster as dg
import duckdb
import polars as pl

from orchestration.defs.resources import OWNERS, Request, Warehouse, told_plainly
from orchestration.dials import Dials, load_dials
from orchestration.signals import tables
from orchestration.signals.flags import RuleDial, raise_flags
from orchestration.signals.tables import Table
from orchestration.signals.trends import score_trends
from orchestration.signals.weeks import HISTORY_WEEKS, WEEK_DAYS

SCHEMA = "marts"
CHECK_NAME = "key_is_unique_and_not_null"

# Weekly points come from the days that have any, on the days also on which a model's filters did
# not let the account in: its points count those too.
WEEKLY_POINTS = f"""
    select
        score_model,
        {{keys}},
        date_diff('day', event_date, $as_of) // {WEEK_DAYS} as week,
        sum(day_points) as points
    from intermediate.int_point_days
    where event_date <= $as_of and date_diff('day', event_date, $as_of) < $history_days
    group by all
"""

ACCOUNT_ENTITIES = """
    select
        engagement.score_model,
        engagement.account_id,
        engagement.is_default_model,
        accounts.first_seen_date as observed_from
    from marts.account_engagement as engagement
    inner join marts.accounts on engagement.account_id = accounts.account_id
"""

USER_ENTITIES = """
    select
        engagement.score_model,
        engagement.account_id,
        engagement.user_id,
        engagement.is_default_model,
        seen.first_seen_date as observed_from
    from marts.user_engagement as engagement
    inner join marts.user_accounts as seen
        on engagement.account_id = seen.account_id and engagement.user_id = seen.user_id
"""

ACCOUNT_FACTS = """
    with

    default_model as (

        select score_model, window_days from reference.score_models where score_model = 'default'

    ),

    flagships as (

        select
            account_id,
            step_key,
            step_name,
            'account' as level,
            cast(is_completed as double) as completed_rate
        from marts.account_activation_steps
        where is_flagship and is_applicable

        union all

        select
            account_id,
            step_key,
            step_name,
            'user' as level,
            cast(completed_user_rate as double) as completed_rate
        from marts.account_user_steps
        where is_flagship

    ),

    flagship_lists as (

        select
            account_id,
            list(
                struct_pack(
                    step_key := step_key,
                    step_name := step_name,
                    level := level,
                    completed_rate := completed_rate
                )
                order by step_key
            ) as flagship_steps
        from flagships
        group by account_id

    ),

    last_points as (

        select point_days.account_id, max(point_days.event_date) as last_points_date
        from intermediate.int_point_days as point_days
        inner join default_model on point_days.score_model = default_model.score_model
        where point_days.event_date <= $as_of and point_days.day_points > 0
        group by point_days.account_id

    ),

    user_benchmark as (

        select bool_or(is_benchmark_thin) as is_user_benchmark_thin
        from marts.user_engagement
        where is_default_model

    )

    select
        accounts.account_id,
        accounts.account_status,
        activation.missing_steps,
        trends.trend,
        flagship_lists.flagship_steps,
        engagement.active_user_count,
        accounts.user_count,
        engagement.engagement_score,
        engagement.engagement_score_avg,
        default_model.window_days,
        activation.activation_rate,
        activation.user_activation_rate,
        activation.readiness_rate,
        trends.weeks_observed,
        trends.points_now,
        trends.points_baseline,
        trends.baseline_ratio,
        trends.slope_points_per_week,
        trends.slope_p_value,
        engagement.is_benchmark_thin,
        user_benchmark.is_user_benchmark_thin,
        accounts.trial_ends_date,
        accounts.contract_started_date,
        accounts.contract_ends_date,
        accounts.first_seen_date,
        accounts.last_seen_date,
        last_points.last_points_date
    from marts.accounts
    cross join default_model
    cross join user_benchmark
    left join marts.account_engagement as engagement
        on accounts.account_id = engagement.account_id and engagement.is_default_model
    left join marts.account_activation as activation
        on accounts.account_id = activation.account_id
    left join marts.account_score_trends as trends
        on accounts.account_id = trends.account_id and trends.is_default_model
    left join flagship_lists on accounts.account_id = flagship_lists.account_id
    left join last_points on accounts.account_id = last_points.account_id
"""

USER_FACTS = """
    select
        engagement.account_id,
        engagement.user_id,
        accounts.account_status,
        engagement.active_day_count,
        engagement.engagement_points,
        account_engagement.engagement_points as account_engagement_points,
        engagement.engagement_score,
        score_models.window_days,
        activation.activation_rate,
        engagement.is_benchmark_thin,
        seen.last_seen_date
    from marts.user_engagement as engagement
    inner join reference.score_models on engagement.score_model = score_models.score_model
    inner join marts.accounts on engagement.account_id = accounts.account_id
    inner join marts.user_accounts as seen
        on engagement.account_id = seen.account_id and engagement.user_id = seen.user_id
    left join marts.account_engagement
        on
            engagement.account_id = account_engagement.account_id
            and engagement.score_model = account_engagement.score_model
    left join marts.user_activation as activation
        on engagement.account_id = activation.account_id and engagement.user_id = activation.user_id
    where engagement.is_default_model
"""


def build_account_trends(connection: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Trends of every account and score model scored on the as-of date."""
    return _build_trends(connection, as_of, ACCOUNT_ENTITIES, tables.ACCOUNT_SCORE_TRENDS)


def build_user_trends(connection: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Trends of every account, user and score model scored on the as-of date."""
    return _build_trends(connection, as_of, USER_ENTITIES, tables.USER_SCORE_TRENDS)


def build_account_flags(
    connection: duckdb.DuckDBPyConnection, as_of: date, dials: Iterable[RuleDial]
) -> pl.DataFrame:
    """Flags of accounts; reads the account trends that were written before."""
    facts = connection.sql(ACCOUNT_FACTS, params={"as_of": as_of}).pl()
    return raise_flags(facts, "account", dials, as_of)


def build_user_flags(
    connection: duckdb.DuckDBPyConnection, as_of: date, dials: Iterable[RuleDial]
) -> pl.DataFrame:
    """Flags of users in an account."""
    return raise_flags(connection.sql(USER_FACTS).pl(), "user", dials, as_of)


def _build_trends(
    connection: duckdb.DuckDBPyConnection, as_of: date, entities: str, table: Table
) -> pl.DataFrame:
    weekly = connection.sql(
        WEEKLY_POINTS.format(keys=", ".join(table.key[1:])),
        params={"as_of": as_of, "history_days": HISTORY_WEEKS * WEEK_DAYS},
    ).pl()
    return score_trends(connection.sql(entities).pl(), weekly, table.key, as_of)


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
    comments = [f"comment on table {name} is {_quoted(table.description)}"] + [
        f"comment on column {name}.{column.name} is {_quoted(column.description)}"
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


def check_key(connection: duckdb.DuckDBPyConnection, table: Table) -> dg.AssetCheckResult:
    """Count the rows of a mart whose key is incomplete or not theirs alone."""
    key = ", ".join(table.key)
    has_null = " or ".join(f"{column} is null" for column in table.key)
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
        check_name=CHECK_NAME, passed=wrong == 0, metadata={"failed_row_count": int(wrong)}
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.name not in table.key),
            )
            for column in table.columns
        ],
        constraints=dg.TableConstraints(other=[f"unique ({', '.join(table.key)})"]),
    )


Build = Callable[[duckdb.DuckDBPyConnection, date, Dials], pl.DataFrame]


def _mart(table: Table, build: Build, reads: Iterable[str]) -> dg.AssetsDefinition:
    """Make the asset of a mart.

    Args:
        table: What the mart looks like.
        build: Makes its rows from the open warehouse, the as-of date and the dials.
        reads: The tables that it reads, as schema.name.
    """
    key = dg.AssetKey([SCHEMA, table.name])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(name.split(".")) for name in reads],
        group_name="signals",
        owners=OWNERS,
        kinds={"python", "polars", "duckdb"},
        description=table.description,
        metadata={"dagster/column_schema": _column_schema(table)},
        check_specs=[
            dg.AssetCheckSpec(
                CHECK_NAME,
                asset=key,
                blocking=True,
                description=f"{', '.join(table.key)}: never null, and one row for each.",
            )
        ],
    )
    def mart(
        context: dg.AssetExecutionContext,
        warehouse: Warehouse,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows only the bare name
        settings = warehouse.settings
        with told_plainly(), closing(warehouse.connect()) as connection:
            as_of = Request.of(context, settings).as_of
            rows = build(connection, as_of, load_dials(settings.seeds))
            write_table(connection, table, rows)
            return dg.MaterializeResult(
                metadata={
                    "dagster/row_count": rows.height,
                    "dagster/column_schema": _column_schema(table),
                },
                check_results=[check_key(connection, table)],
            )

    return mart


user_score_trends = _mart(
    tables.USER_SCORE_TRENDS,
    lambda connection, as_of, _: build_user_trends(connection, as_of),
    reads=("intermediate.int_point_days", "marts.user_engagement", "marts.user_accounts"),
)

account_score_trends = _mart(
    tables.ACCOUNT_SCORE_TRENDS,
    lambda connection, as_of, _: build_account_trends(connection, as_of),
    reads=("intermediate.int_point_days", "marts.account_engagement", "marts.accounts"),
)

user_flags = _mart(
    tables.USER_FLAGS,
    lambda connection, as_of, dials: build_user_flags(connection, as_of, dials.flag_rules),
    reads=(
        "marts.user_engagement",
        "marts.account_engagement",
        "marts.user_activation",
        "marts.user_accounts",
        "marts.accounts",
        "reference.score_models",
        "reference.flag_rules",
    ),
)

account_flags = _mart(
    tables.ACCOUNT_FLAGS,
    lambda connection, as_of, dials: build_account_flags(connection, as_of, dials.flag_rules),
    reads=(
        "intermediate.int_point_days",
        "marts.account_score_trends",
        "marts.account_engagement",
        "marts.user_engagement",
        "marts.account_activation",
        "marts.account_activation_steps",
        "marts.account_user_steps",
        "marts.accounts",
        "reference.score_models",
        "reference.flag_rules",
    ),
)
