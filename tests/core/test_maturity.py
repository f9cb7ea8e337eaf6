"""Which notice of a loan's end is due at a moment, and that each is told once."""

from dataclasses import replace
from itertools import pairwise

import pytest
from core_builders import loan
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.model.maturity import Maturity, maturity

HOUR, DAY = 3_600_000, 86_400_000
END = 1_700_000_000_000
DISTANCES = (7 * DAY, 3 * DAY, DAY, 6 * HOUR)

distances = st.lists(st.integers(1, 60), max_size=5).map(tuple)
clock = st.lists(st.integers(-80, 80), min_size=1, max_size=40)  # one that is set back now and then
moments = clock.map(sorted)


def at(left_ms: int, distances_ms: tuple[int, ...] = DISTANCES, end_ms: int = END) -> Maturity:
    found = maturity(replace(loan(), expires_at_ms=end_ms), end_ms - left_ms, distances_ms)
    assert found is not None
    return found


def told(moments_ms: list[int], distances_ms: tuple[int, ...]) -> list[tuple[int, int]]:
    """The moments at which a notice is told, by what is left, and which."""
    last, found = None, []
    for moment in moments_ms:
        now = at(-moment, distances_ms)
        if now.is_news_after(last):
            last = now
            found.append((-moment, now.notice_ms or 0))
    return found


def test_a_flexible_loan_has_no_end() -> None:
    assert maturity(loan(), END, DISTANCES) is None


@pytest.mark.parametrize(
    ("left_ms", "notice_ms"),
    [
        (8 * DAY, None),
        (7 * DAY + 1, None),
        (7 * DAY, 7 * DAY),
        (3 * DAY + 1, 7 * DAY),
        (3 * DAY, 3 * DAY),
        (DAY + 1, 3 * DAY),
        (DAY, DAY),
        (6 * HOUR + 1, DAY),
        (6 * HOUR, 6 * HOUR),
        (1, 6 * HOUR),
        (0, None),
        (-1, None),
        (-3 * DAY, None),
    ],
)
def test_the_nearest_distance_that_was_reached_is_due(left_ms: int, notice_ms: int | None) -> None:
    assert at(left_ms).notice_ms == notice_ms
    assert at(left_ms, DISTANCES[::-1]).notice_ms == notice_ms  # their order means nothing


@pytest.mark.parametrize(
    ("left_ms", "overdue", "forfeit"),
    [
        (1, False, False),
        (0, True, False),
        (-1, True, False),
        (1 - 2 * DAY, True, False),
        (-2 * DAY, True, True),
        (-9 * DAY, True, True),
    ],
)
def test_it_is_overdue_from_its_end_and_forfeit_two_days_later(
    left_ms: int,
    overdue: bool,  # noqa: FBT001 - parametrized
    forfeit: bool,  # noqa: FBT001 - parametrized
) -> None:
    found = at(left_ms)
    assert (found.is_overdue, found.is_forfeit) == (overdue, forfeit)
    assert found.liquidated_at_ms == END + 2 * DAY


def test_without_distances_nothing_is_due_and_it_can_be_overdue_all_the_same() -> None:
    assert at(1, ()).notice_ms is None
    assert at(0, ()).is_overdue


def test_an_end_that_moved_has_notices_of_its_own() -> None:
    before = at(5 * HOUR)
    assert not at(HOUR).is_news_after(before)
    assert at(6 * DAY, end_ms=END + 6 * DAY).is_news_after(before)
    assert at(HOUR, end_ms=END - 5 * HOUR).is_news_after(before)


def test_an_end_that_moved_away_once_it_was_past_is_told_of_again() -> None:
    assert at(HOUR).is_news_after(at(-1))


@given(distances, clock)
def test_every_distance_is_told_once_and_never_after_a_nearer_one(
    distances_ms: tuple[int, ...], moments_ms: list[int]
) -> None:
    alerts = [notice for _, notice in told(moments_ms, distances_ms)]
    assert all(earlier > later for earlier, later in pairwise(alerts))
    assert set(alerts) <= set(distances_ms)


@given(distances, moments)
def test_what_is_told_is_the_nearest_that_was_reached_and_never_of_a_loan_that_is_over(
    distances_ms: tuple[int, ...], moments_ms: list[int]
) -> None:
    for left, notice in told(moments_ms, distances_ms):
        assert 0 < left <= notice
        assert not [other for other in distances_ms if left <= other < notice]


@given(distances)
def test_a_loan_that_is_watched_all_the_time_has_every_distance_told(distances_ms: tuple[int, ...]) -> None:
    every_moment = list(range(-70, 20))
    assert [notice for _, notice in told(every_moment, distances_ms)] == sorted(
        set(distances_ms), reverse=True
    )


@given(distances, st.integers(1, 60))
def test_a_start_within_a_window_tells_the_nearest_notice_alone(
    distances_ms: tuple[int, ...], left: int
) -> None:
    reached = [distance for distance in distances_ms if left <= distance]
    first = told([-left], distances_ms)
    assert first == ([(left, min(reached))] if reached else [])
