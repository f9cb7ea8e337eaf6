"""How far apart writes leave, so that the exchange counts one a second: against one that counts anywhere."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from ltv_guard.adapters.bybit.write_pace import ENOUGH, MANY, PREPARED, REMEMBERED, WritePace


def answered(pace: WritePace, *took_ms: int) -> list[float]:
    """What each answer took beyond the fastest."""
    return [pace.answered(took) for took in took_ms]


def test_of_few_answers_none_is_known_to_be_the_fastest() -> None:
    assert answered(WritePace(), *[60] * ENOUGH) == [0.06] * (ENOUGH - 1) + [0.0]


def test_until_a_few_are_known_the_answers_to_reads_tell_how_long_the_way_is() -> None:
    pace = WritePace()
    assert [pace.answered(took_ms, reads_ms=50) for took_ms in (80, 30)] == [0.04, 0.0]
    pace.came_too_soon()
    assert pace.answered(80, reads_ms=50) == 0.08


def test_a_slow_answer_may_have_been_counted_late() -> None:
    assert answered(WritePace(), 50, 50, 50, 300, 55)[-2:] == [0.25, 0.005]


def test_where_many_are_known_and_the_fastest_are_alike_most_of_what_is_beyond_a_second_is_spared() -> None:
    assert answered(WritePace(), *[50] * MANY)[-2:] == [0.0, -0.007]
    assert answered(WritePace(), *[90] * MANY, 50, 53, 52, 90)[-4:] == [0.0, 0.003, 0.002 - 0.004, 0.036]
    assert answered(WritePace(), *[90] * MANY, 50, 58, 61)[-1] == 0.011


def test_a_way_that_has_become_longer_is_learnt_again() -> None:
    assert answered(WritePace(), *[50] * ENOUGH, *[120] * REMEMBERED)[-2:] == [0.07, -0.007]


def refused(pace: WritePace, took_ms: int = 20) -> None:
    pace.answered(took_ms)
    pace.came_too_soon()


def test_after_each_refusal_they_are_further_apart_and_after_three_by_all_that_one_takes() -> None:
    pace = WritePace()
    answered(pace, *[50] * MANY)
    found = []
    for _ in range(4):
        refused(pace)
        found.append(pace.answered(50))
    assert found == [0.0, 0.03, 0.05, 0.05]


def test_never_by_more_than_one_takes() -> None:
    pace = WritePace()
    answered(pace, *[25] * MANY)
    refused(pace)
    refused(pace)
    assert answered(pace, 25, 60) == [0.025, 0.06]


def test_for_each_thirty_that_are_not_refused_they_come_closer_again() -> None:
    pace = WritePace()
    answered(pace, *[50] * MANY)
    for _ in range(3):
        refused(pace)
    found = answered(pace, *[50] * 3 * REMEMBERED)
    assert [found[30 * number - 2] for number in (1, 2, 3)] == [0.05, 0.03, 0.0]
    assert found[-1] == -0.007
    refused(pace)
    assert answered(pace, *[50] * REMEMBERED)[-2:] == [0.0, -0.007]


def test_one_refusal_does_not_end_what_is_known_of_the_way() -> None:
    pace = WritePace()
    answered(pace, *[50] * MANY)
    refused(pace, took_ms=5)
    assert answered(pace, 50, 58) == [0.0, 0.008]


@pytest.mark.parametrize("counted_at", [0.0, 0.5, 1.0], ids=["on arrival", "half way", "with its answer"])
def test_wherever_the_exchange_counts_them_no_two_are_counted_within_a_second(counted_at: float) -> None:
    chance, pace, leaves_ms, counted = random.Random(7), WritePace(), 0, []
    for _ in range(300):
        took_ms = 40 + chance.choice([*range(10), 200])
        counted.append(leaves_ms + counted_at * took_ms)
        leaves_ms += round(1000 * pace.answered(took_ms)) + 1_010
    assert min(later - sooner for sooner, later in pairwise(counted)) >= 1_000
    assert leaves_ms / 300 < 1_045  # and not a round trip more


def test_a_write_is_prepared_as_long_before_its_turn_as_that_takes_within_bounds() -> None:
    pace = WritePace()
    assert pace.ahead_s == 0.05
    for took_ms, ahead_s in [(20, 0.05), (90, 0.09), (60, 0.09), (900, 0.15)]:
        pace.prepares(1_000)
        pace.is_prepared(1_000 + took_ms)
        assert pace.ahead_s == ahead_s
    pace.is_prepared(9_000)  # its turn was not waited for
    assert pace.ahead_s == 0.15
    for number in range(PREPARED):
        pace.prepares(number)
        pace.is_prepared(number + 60)
        assert (pace.ahead_s == 0.06) == (number == PREPARED - 1)
