"""Weeks: how the days up to the as-of date are cut, and which weeks a level is measured on.

A week is a block of seven days; week 0 ends on the as-of date, week 1 seven days before, and so on
back. Only weeks that lie wholly after an entity was first seen count.
"""

WEEK_DAYS = 7

NOW_WEEKS = 3
"""The recent level: weeks 0 to 2."""

BASELINE_GAP_WEEKS = 4
"""The baseline leaves out these youngest weeks, so that a fall does not lower its own measure."""

BASELINE_WEEKS = 12
"""The baseline looks at most this many weeks further back: weeks 4 to 15."""

HISTORY_WEEKS = BASELINE_GAP_WEEKS + BASELINE_WEEKS
"""All weeks that a trend can see."""

HISTORY_DAYS = HISTORY_WEEKS * WEEK_DAYS

TREND_WEEKS = 8
"""Slope and its test look at weeks 0 to 7."""

MIN_TREND_WEEKS = 5
"""Below, no direction: with four weeks even a perfect fall has a p of 0.09."""

MIN_BASELINE_WEEKS = 4
"""Below, no baseline: a month of one's own past, at least."""

RECENT_DAYS = 14
"""Recency looks at so many days: on how many of them was there anything?"""
