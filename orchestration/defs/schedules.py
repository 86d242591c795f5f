"""The daily job and when it runs."""

import dagster as dg

daily_refresh = dg.define_asset_job(
    "daily_refresh",
    description="Brings every mart to the partition's day, tests them, publishes them.",
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    # A run whose process died is started once more; one that failed is not: checks and dials
    # stay wrong, and an asset itself repeats what may pass.
    tags={"dagster/max_retries": "1", "dagster/retry_on_asset_or_op_failure": "false"},
)

every_morning = dg.build_schedule_from_partitioned_job(
    daily_refresh,
    name="every_morning",
    description="At 06:00 of the reporting time zone, for the day before.",
    hour_of_day=6,
)
