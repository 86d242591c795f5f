"""Use against habit and calendar: small fleets by hand, and nothing of later days."""

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from orchestration.signals.facts import (
    ALL_CELLS,
    STATUSES,
    UNKNOWN,
    Block,
    Fleet,
    Presence,
    Span,
    Users,
    account_facts,
    begin_of,
    overdispersion,
    trailing,
    user_facts,
)
from orchestration.signals.features import (
    NEVER,
    ONE,
    Activity,
    Ints,
    Use,
    peer_totals,
    peers_calendar,
    recent_use,
    running_sum,
)


def fleet(users: list[list[int]], members: int = 1, group: list[int] | None = None) -> Activity:
    active = np.array(users)
    groups = np.zeros(len(users), dtype=np.int64) if group is None else np.array(group)
    return Activity(
        active_users=active,
        members=np.full(active.shape, members),
        is_live=np.ones(active.shape, dtype=np.bool_),
        group=np.broadcast_to(groups[:, None], active.shape),
    )


def full_days(days: int) -> Ints:
    """A calendar on which every member of every peer is active every day."""
    return np.full((1, days), ONE)


def test_calendar_is_the_mean_share_of_live_accounts() -> None:
    activity = Activity(
        active_users=np.array([[2, 0], [1, 3], [5, 5]]),
        members=np.array([[4, 4], [0, 3], [5, 5]]),
        is_live=np.array([[True, True], [True, True], [False, True]]),
        group=np.zeros((3, 2), dtype=np.int64),
    )
    # Day 0: 2/4 and 1/1 (no members count as one); the third is not live. Day 1: 0, 1 and 1.
    calendar = peers_calendar([peer_totals(activity, groups=1)], min_peers=1)
    assert calendar.tolist() == [[750_000, 666_666]]


def test_small_groups_take_the_fleets_calendar() -> None:
    activity = fleet([[1], [1], [0], [0]], group=[0, 0, 0, 1])
    totals = [peer_totals(activity, groups=2)]
    assert peers_calendar(totals, min_peers=1).tolist() == [[666_666], [0]]
    assert peers_calendar(totals, min_peers=2).tolist() == [[666_666], [500_000]]
    assert peers_calendar(totals, min_peers=4).tolist() == [[500_000], [500_000]]


def test_totals_of_parts_add_up() -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 4, (50, 9)).tolist()
    whole = fleet(users, members=3)
    parts = [fleet(users[:20], members=3), fleet(users[20:], members=3)]
    assert np.array_equal(
        peers_calendar([peer_totals(whole, 1)]),
        peers_calendar(peer_totals(part, 1) for part in parts),
    )


def test_an_account_that_stops_by_hand() -> None:
    # 210 days of full calendar: active on every third day, until it stops 20 days before the end.
    days = 210
    active = [int(day % 3 == 0 and day < 190) for day in range(days)]
    use = recent_use(fleet([active]), full_days(days), at=np.array([days - 1]))
    # Habit: days 0 to 181 hold 61 active ones of 182; with the prior (61 + 3) / (182 + 3).
    habit = 64 / 185
    assert use.habit.item() == pytest.approx(habit)
    assert [use.used[window].item() for window in (14, 28, 56)] == [0, 3, 12]
    assert use.expected[56].item() == pytest.approx(56 * habit)
    assert use.ratio(56).item() == round(12 / (56 * habit), 6)
    assert use.peers[28].item() == 28
    assert use.active_days.item() == 0
    assert use.silent_days.item() == 20  # last active on day 189
    assert use.silent_peer_days.item() == 20
    assert use.history_days.item() == 210
    assert use.surprise(28, 2).item() == round((28 * habit - 3) / np.sqrt(2 * 28 * habit), 6)


def test_a_pause_of_everybody_is_no_fall() -> None:
    # Forty accounts, each active on four days of five; in the last fortnight nobody is.
    rng = np.random.default_rng(4)
    active = (rng.random((40, 240)) < 0.8).astype(int)
    active[:, -14:] = 0
    activity = fleet(active.tolist())
    calendar = peers_calendar([peer_totals(activity, 1)])
    use = recent_use(activity, calendar, at=np.array([239]))
    assert (use.expected[14] == 0).all()
    assert np.isnan(use.ratio(14)).all()
    assert (use.surprise(14, 1.7) == 0).all()
    assert (use.ratio(28) > 0.6).all()
    assert (use.silent_peer_days < 3).all()


def test_everyone_is_held_against_the_calendar_of_their_group() -> None:
    calendar = np.array([[ONE] * 60, [ONE // 2] * 60])
    use = recent_use(fleet([[1] * 60, [1] * 60], group=[0, 1]), calendar, at=np.array([59]))
    assert use.peers[28].tolist() == [[28.0], [14.0]]
    # 32 days before the gap, all active: (32 + 3) / (32 + 3), and against half of it 35 / 19.
    assert use.habit.tolist() == [[1.0], [35 / 19]]


def test_twice_the_users_are_twice_the_use() -> None:
    rng = np.random.default_rng(6)
    users = rng.integers(0, 6, (3, 240))
    calendar = rng.integers(0, ONE, (1, 240))
    at = np.array([100, 239])
    one = recent_use(fleet(users.tolist(), members=5), calendar, at)
    two = recent_use(fleet((2 * users).tolist(), members=10), calendar, at)
    for window in (14, 28, 56):
        assert np.allclose(two.ratio(window), one.ratio(window), equal_nan=True)


def test_before_the_first_activity_there_is_no_history() -> None:
    use = recent_use(fleet([[0, 0, 1, 0]]), full_days(4), at=np.arange(4))
    assert use.history_days.tolist() == [[0, 0, 1, 2]]
    assert use.silent_days.tolist() == [[NEVER, NEVER, 0, 1]]


def seen_from(first: list[int], active: npt.NDArray[np.int64]) -> Presence:
    """Accounts of one user each, seen from a day on; one row per account."""
    day = np.arange(active.shape[1])[:, None]
    return Presence(
        span=Span(date(2026, 1, 1), active.shape[1]),
        active_users=active.T,
        members=np.ones_like(active.T),
        status=np.where(day >= np.array(first), STATUSES.index("paid"), UNKNOWN),
        plan=np.zeros_like(active.T),
    )


def test_who_never_came_is_silent_since_first_seen_and_a_newcomer_is_no_idler() -> None:
    # All peers come every day. Seen from day 0, never active; seen and active from day 53 on; seen
    # from day 10, active on day 50 alone.
    active = np.zeros((3, 60), dtype=np.int64)
    active[1, 53:] = 1
    active[2, 50] = 1
    calendar = np.array([[ONE] * 60, [0] * 60])
    use = seen_from([0, 53, 10], active).against(calendar, np.array([59]))

    # What a typical peer has in 28 days, as far as the account was there.
    assert use.peers[28].ravel().tolist() == [28, 7, 28]
    assert use.peers[56].ravel().tolist() == [56, 7, 50]
    assert use.silent_peer_days.ravel().tolist() == [60, 0, 9]
    # No habit before the first activity: that of a typical peer, and nothing was to be expected.
    assert use.habit.ravel().tolist() == [1, 1, 1]
    assert use.expected[28].ravel().tolist() == [0, 7, 10]
    assert np.isnan(use.ratio(28)).ravel().tolist() == [True, False, False]


def test_two_weeks_of_silence_are_fourteen_days_on_which_the_pipeline_worked() -> None:
    """Ann and Bob came every day; Ann stopped after day 44, and days 46 to 50 are a gap."""
    days = 80
    gap = np.isin(np.arange(days), range(46, 51))
    points = np.full((days, 2), 10_000)
    points[gap] = 0
    points[45:, 0] = 0
    points[47, 1] = 10_000  # what came through is not counted either
    ones = np.ones((days, 1), dtype=np.int64)
    presence = Presence(
        span=Span(date(2026, 1, 1), days),
        active_users=(points > 0).sum(axis=1, keepdims=True),
        members=2 * ones,
        status=STATUSES.index("paid") * ones,
        plan=0 * ones,
    )
    block = Block(
        presence=presence,
        account=np.array([0]),
        keys=pl.DataFrame({"account_id": ["acme"]}),
        first_seen=np.array([0]),
        points=points.sum(axis=1, keepdims=True),
        value_events=0 * ones,
        numbers={"activation_rate": 0 * ones, "readiness_rate": np.arange(days)[:, None]},
        dates={},
        is_benchmark_thin=ones == 0,
        flagship_rates=np.empty((0, days, 1)),
        user_step_units=0 * ones,
        users=Users(
            keys=pl.DataFrame({"account_id": ["acme"] * 2, "user_id": ["ann", "bob"]}),
            account=np.array([0, 0]),
            first_seen=np.array([0, 0]),
            points=points,
            scored=points >= 0,
            score=0 * points,
            completed_units=0 * points,
        ),
    )
    fleet = Fleet(
        window_days=30,
        is_suspended=gap,
        is_user_benchmark_thin=np.zeros(days, dtype=np.bool_),
        calendar=np.zeros((2, days), dtype=np.int64),
        overdispersion=np.ones(days),
    )

    of_account, of_user = account_facts(block, fleet), user_facts(block, fleet)
    # Fourteen days without the gap: day 45 and days 51 to 63.
    assert begin_of(gap, 14)[[10, 13, 14, 45, 58, 63, 64]].tolist() == [0, 0, 1, 32, 40, 45, 51]
    silent = of_account["silent_top_user"](ALL_CELLS)
    assert silent.to_list() == [None] * 63 + ["ann"] * (days - 63)
    on_63 = np.array([63]), np.array([0])
    assert of_account["silent_top_user"](on_63).to_list() == ["ann"]
    assert of_account["silent_top_share"](on_63).to_list() == [0.5]
    assert of_account["others_ratio"](on_63).to_list() == [1.0]
    assert of_account["used_before_28d"](on_63).to_list() == [56.0]
    own_days = of_user["active_day_count_14d"](ALL_CELLS).to_numpy().reshape(days, 2)
    assert own_days[[44, 58, 62, 63]].tolist() == [[14, 14], [5, 14], [1, 14], [0, 14]]
    usual = of_user["usual_active_days_14d"](on_63).to_list()
    assert usual == [45 * 14 / 84]  # days 0 to 44 of the twelve weeks before
    assert of_user["account_active_users_14d"](on_63).to_list() == [14.0]
    # And every fact of a cell is that of all cells.
    for facts, entities in ((of_account, 1), (of_user, 2)):
        cells = np.divmod(np.arange(days * entities)[::-1], entities)
        for fact in facts.values():
            assert_series_equal(fact(cells), fact(ALL_CELLS)[::-1])


def test_single_cells_are_those_of_all_days() -> None:
    rng = np.random.default_rng(4)
    users = rng.integers(0, 4, (6, 260)) * (rng.random((6, 260)) < 0.3)
    users[2] = 0  # never active
    use = recent_use(fleet(users.tolist(), members=3), full_days(260), at=np.arange(260))
    day, account = np.divmod(rng.permutation(260 * 6)[:400], 6)
    few = use.on(day, account)
    for whole, single in zip(measured(use), measured(few), strict=True):
        assert np.array_equal(single, whole[account, day], equal_nan=True)


def use_of(*accounts: tuple[float, float]) -> npt.NDArray[np.float64]:
    """What a day's accounts used and what was expected of them."""
    return np.array(accounts, dtype=float).reshape(-1, 2).T


def test_overdispersion_is_the_median_of_all_accounts() -> None:
    # Of each 10 are expected: squares over these are 3.6, 1.6, 0, 0.9, 6.4; their median is 1.6.
    # The second part begins a day later, and its accounts are of the same day.
    parts = [[use_of(), use_of((4, 10), (6, 10), (10, 10))], [use_of((13, 10), (18, 10))]]
    assert overdispersion(parts, 2) == pytest.approx([1, 1.6 / 0.454936])
    assert overdispersion([], 2).tolist() == [1, 1]


def test_what_all_accounts_do_is_no_burst() -> None:
    # At 0.4, 0.8 and 1.2 of what was expected: so 32 are, and two accounts are 16 away.
    day = use_of((16, 40), (32, 40), (48, 40))
    assert overdispersion([[day]], 1) == pytest.approx([8 / 0.454936])
    steady = use_of((32, 40), (32, 40), (48, 40))
    assert overdispersion([[steady]], 1).tolist() == [1]


def test_overdispersion_is_the_median_of_eight_weeks() -> None:
    calm, wild = use_of((10, 10)), use_of((3, 10), (10, 10), (17, 10))  # 1; 4.9 / 0.454936
    many = 4.9 / 0.454936
    phi = overdispersion([[calm] * 60 + [wild] * 60], 120)
    assert phi[:87].tolist() == [1] * 87  # the day has 27 wild ones of 56
    assert phi[87] == pytest.approx((0 + many) / 2)  # 28 of 56
    assert phi[88:] == pytest.approx([many] * 32)


def test_a_day_on_which_half_of_the_fleet_does_nothing_says_nothing() -> None:
    wild, gone = use_of((3, 10), (10, 10), (17, 10)), use_of((0, 10), (0, 10), (9, 10))
    phi = overdispersion([[gone, wild, gone, gone, use_of()]], 5)
    assert phi == pytest.approx([1, *[4.9 / 0.454936] * 4])


def test_overdispersion_finds_how_bursty_counts_are() -> None:
    rng = np.random.default_rng(2)
    expected = rng.uniform(5, 60, 20_000)
    # Negative binomial with variance 2.5 times the mean.
    used = rng.negative_binomial(expected / 1.5, 1 / 2.5).astype(float)
    assert overdispersion([[np.stack([used, expected])]], 1) == pytest.approx(2.5, rel=0.05)
    # A tenth of the accounts stop, and the peers' calendar goes down with them. The median is then
    # the 5/9 quantile of the others: 1.29 times the median of a chi-square.
    used[:2000] = 0
    phi = overdispersion([[np.stack([used, 0.9 * expected])]], 1)
    assert phi == pytest.approx(1.29 * 2.5, rel=0.05)


def measured(use: Use) -> list[npt.NDArray[Any]]:
    return [
        use.habit,
        use.active_days,
        use.silent_days,
        use.silent_peer_days,
        use.history_days,
        *use.used.values(),
        *use.expected.values(),
        *use.peers.values(),
    ]


def columns(use: Use) -> list[list[float]]:
    return [array.tolist() for array in measured(use)]


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 299))
def test_nothing_of_later_days_shows(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (6, 300)
    activity = Activity(
        active_users=rng.integers(0, 4, shape) * (rng.random(shape) < 0.4),
        members=rng.integers(0, 5, shape),
        is_live=rng.random(shape) < 0.8,
        group=rng.integers(0, 2, shape),
    )
    short = Activity(
        active_users=activity.active_users[:, :cut],
        members=activity.members[:, :cut],
        is_live=activity.is_live[:, :cut],
        group=activity.group[:, :cut],
    )
    at = np.array([cut // 2, cut - 1])
    long_calendar = peers_calendar([peer_totals(activity, 2)], min_peers=3)
    short_calendar = peers_calendar([peer_totals(short, 2)], min_peers=3)
    assert columns(recent_use(activity, long_calendar, at)) == columns(
        recent_use(short, short_calendar, at)
    )


def test_a_window_may_be_longer_than_the_history() -> None:
    total = running_sum(np.array([[1], [2]]))
    assert trailing(total, 14).tolist() == [[1], [3]]
    assert trailing(total, 84, gap=1).tolist() == [[0], [1]]
    assert trailing(total, 84, gap=28).tolist() == [[0], [0]]
