"""History: when flags open, close and come back, by hand; later days change nothing."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.signals.history import Persistence, follow

TWO_THREE_FIVE = Persistence(min_days=2, close_after_days=3, cooldown_days=5, severity=0)


def truth(text: str) -> np.ndarray:
    """One entity's days: x holds."""
    return np.array([[mark == "x"] for mark in text])


def lived(
    text: str,
    applies: str | None = None,
    suspended: str | None = None,
    persistence: Persistence = TWO_THREE_FIVE,
) -> tuple[list[tuple[int, ...]], str]:
    """Every flag as (opened, closed, open days, relapses, severity), and the level per day."""
    episodes, is_open = follow(
        truth(text),
        truth(applies or "x" * len(text)),
        truth(suspended or "." * len(text))[:, 0],
        persistence,
    )
    rows = zip(*(array.tolist() for array in list(asdict(episodes).values())[1:]), strict=True)
    return list(rows), "".join(str(level) for level in is_open[:, 0])


@pytest.mark.parametrize(
    ("days", "flags", "levels"),
    [
        ("x.x.x", [], "00000"),  # never two days in a row
        ("xx", [(1, -1, 1, 0, 0)], "01"),
        ("xxx..", [(1, -1, 4, 0, 0)], "01111"),  # two days without are not enough
        ("xxx...", [(1, 5, 4, 0, 0)], "011110"),
        ("xx..x..x", [(1, -1, 7, 0, 0)], "01111111"),
        # Closed on day 4, back on day 9: five days later it goes on, one step worse.
        ("xx......xx", [(1, -1, 4, 1, 1)], "0111000002"),
        # A day later it is a new one.
        ("xx.......xx", [(1, 4, 3, 0, 0), (10, -1, 1, 0, 0)], "01110000001"),
        # Twice back: high; nothing is worse than high.
        ("xx...xx...xx...xx", [(1, -1, 10, 3, 2)], "01110022200333003"),
    ],
)
def test_open_close_relapse(days: str, flags: list[tuple[int, ...]], levels: str) -> None:
    assert lived(days) == (flags, levels)


def test_who_goes_closes_at_once_and_held_days_begin_anew() -> None:
    assert lived("xxxxxxx", applies="xxx.xxx") == ([(1, -1, 4, 1, 1)], "0110022")


def test_days_that_say_nothing_neither_open_nor_close_nor_count() -> None:
    # The second day of holding and the three without come only after the gap.
    assert lived("xx..x", suspended=".xxx.") == ([(4, -1, 1, 0, 0)], "00001")
    assert lived("xx......", suspended="...xxx..") == ([(1, 7, 6, 0, 0)], "01111110")


def test_who_goes_on_a_day_that_says_nothing_still_closes() -> None:
    assert lived("xxxx", applies="xx..", suspended="..xx") == ([(1, 2, 1, 0, 0)], "0100")


def test_a_flag_may_open_on_its_first_day() -> None:
    at_once = Persistence(min_days=1, close_after_days=1, cooldown_days=0, severity=2)
    flags = [(0, 1, 1, 0, 2), (2, 3, 1, 0, 2)]
    assert lived("x.x.", persistence=at_once) == (flags, "3030")


days_of_all = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=40)
rules = st.builds(
    Persistence,
    min_days=st.integers(1, 4),
    close_after_days=st.integers(1, 4),
    cooldown_days=st.integers(0, 8),
    severity=st.integers(0, 2),
)


@settings(max_examples=100, deadline=None)
@given(holds=days_of_all, persistence=rules, cut=st.integers(1, 40))
def test_later_days_change_nothing_of_earlier_ones(
    holds: list[list[bool]], persistence: Persistence, cut: int
) -> None:
    matrix = np.array(holds)
    calm = np.zeros(len(matrix), dtype=bool)
    _, whole = follow(matrix, np.ones_like(matrix), calm, persistence)
    _, part = follow(matrix[:cut], np.ones_like(matrix[:cut]), calm[:cut], persistence)
    assert (whole[:cut] == part).all()


@settings(max_examples=100, deadline=None)
@given(holds=days_of_all, persistence=rules)
def test_every_open_day_belongs_to_one_flag(
    holds: list[list[bool]], persistence: Persistence
) -> None:
    matrix = np.array(holds)
    calm = np.zeros(len(matrix), dtype=bool)
    episodes, is_open = follow(matrix, np.ones_like(matrix), calm, persistence)
    for entity in range(matrix.shape[1]):
        own = episodes.entity == entity
        assert episodes.open_days[own].sum() == (is_open[:, entity] > 0).sum()
        assert (is_open[episodes.opened[own], entity] > 0).all()
        # Its own flags never overlap, and at most the last one is open.
        ends = np.where(episodes.closed[own] < 0, len(matrix), episodes.closed[own])
        assert (episodes.opened[own][1:] >= ends[:-1]).all()


def lived_day_by_day(
    holds: list[bool], applies: list[bool], suspended: list[bool], rule: Persistence
) -> tuple[list[list[int]], list[int]]:
    """One entity's flags as [opened, closed, open days, relapses, severity], and the levels."""
    flags: list[list[int]] = []
    levels = []
    held = missed = 0
    is_open = False
    for day, (holding, applying, silent) in enumerate(zip(holds, applies, suspended, strict=True)):
        if not silent:
            held = held + 1 if holding and applying else 0
            missed = 0 if holding and applying else missed + 1
        too_long = not silent and missed >= rule.close_after_days
        if is_open and (not applying or too_long):
            is_open, flags[-1][1] = False, day
        elif not is_open and not silent and held >= rule.min_days:
            is_open = True
            if flags and day - flags[-1][1] <= rule.cooldown_days:
                flags[-1][1] = -1
                flags[-1][3] += 1
                flags[-1][4] = min(flags[-1][4] + 1, 2)
            else:
                flags.append([day, -1, 0, 0, rule.severity])
        if is_open:
            flags[-1][2] += 1
        levels.append(flags[-1][4] + 1 if is_open else 0)
    return flags, levels


day_of_three = st.tuples(*(st.tuples(st.booleans(), st.booleans()) for _ in range(3)))


@settings(max_examples=200, deadline=None)
@given(
    days=st.lists(st.tuples(day_of_three, st.booleans()), min_size=1, max_size=40),
    persistence=rules,
)
def test_all_days_at_once_are_what_going_day_by_day_gives(
    days: list[tuple[tuple[tuple[bool, bool], ...], bool]], persistence: Persistence
) -> None:
    marks = np.array([mark for mark, _ in days])
    suspended = np.array([silent for _, silent in days])
    holds, applies = marks[..., 0], marks[..., 1]
    episodes, level = follow(holds, applies, suspended, persistence)
    found = np.stack(list(asdict(episodes).values()), axis=1).tolist()
    for entity in range(holds.shape[1]):
        flags, levels = lived_day_by_day(
            holds[:, entity].tolist(), applies[:, entity].tolist(), suspended.tolist(), persistence
        )
        assert [rest for who, *rest in found if who == entity] == flags
        assert level[:, entity].tolist() == levels
