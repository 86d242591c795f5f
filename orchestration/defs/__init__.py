"""Dagster's side: one module per kind of asset, all collected by `orchestration.definitions`."""

import warnings

import dagster as dg

# One parameter that we rely on is not final in Dagster; the lock file pins what it does.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", category=dg.BetaWarning)
