"""Entry point of Dagster: everything that `dagster dev` shows and runs."""

import dagster as dg

from orchestration.defs import dbt, publish, raw, resources, schedules, signals
from orchestration.execution import listened
from orchestration.project import Settings

defs = dg.Definitions(
    assets=[
        raw.dials,
        raw.raw_tables,
        dbt.dbt_models,
        *signals.SIGNALS,
        dbt.dbt_after_signals,
        publish.published_marts,
    ],
    resources={"warehouse": resources.Warehouse.of(Settings.resolve())},
    jobs=[schedules.daily_refresh],
    schedules=[schedules.every_morning],
    loggers={"listened": listened},
    executor=dg.in_process_executor,
)
