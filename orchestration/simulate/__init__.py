"""Raw data of a made-up B2B video product, with known truths, for demos and benchmarks.

    simulate(Path("data/raw"), accounts=300, days=180, events=1_000_000, until=date(2026, 11, 20))

writes `tracks/tracks-<first day>.parquet`, `identifies.parquet` and `groups.parquet` in the raw
layout, and `truths.json`: every account's story with its dates and the flags it must and must not
raise, and how many rows of each fate were planted.

`stories` says how accounts live, `fleet` who they are, `catalog` what they can send, `activity`
and `delivery` make the rows, `simulation` the folder.
"""

from orchestration.simulate.simulation import SimulationResult, check_numbers, simulate

__all__ = ["SimulationResult", "check_numbers", "simulate"]
