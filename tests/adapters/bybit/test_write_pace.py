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
    assert answered(WritePace(), *[50] * MANY)[-2:] == [0.0, -0.008]
    assert answered(WritePace(), *[90] * MANY, 50, 53, 52, 90)[-4:] == [0.0, 0.003, 0.002, 0.04]
    assert answered(WritePace(), *[90] * MANY, 50, 58, 61)[-1] == 0.011


def test_a_way_that_has_become_longer_is_learnt_again() -> None:
    assert answered(WritePace(), *[50] * ENOUGH, *[120] * REMEMBERED)[-2:] == [0.07, -0.008]


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
    assert found[-1] == -0.008
    refused(pace)
    assert answered(pace, *[50] * REMEMBERED)[-2:] == [0.0, -0.008]


def test_one_refusal_does_not_end_what_is_known_of_the_way() -> None:
    pace = WritePace()
    answered(pace, *[50] * MANY)
    refused(pace, took_ms=5)
    assert answered(pace, 50, 58) == [0.0, 0.008]


def told(pace: WritePace, *answers: tuple[int, int]) -> list[float]:
    """Of each answer, what it took and when it was made."""
    return [pace.answered(took, made_ms=made) for took, made in answers]


def test_what_an_answer_takes_to_come_back_is_not_held_against_it() -> None:
    found = told(WritePace(), *[(50, 7_010)] * ENOUGH, (80, 7_010), (80, 7_025), (80, 7_060))
    assert found[-3:] == [0.0, 0.015, 0.03 - 0.008]  # and never more than it was late


def test_what_is_spared_is_so_by_when_answers_were_made_too() -> None:
    slow_back = [(60 + 9 * (number % 2), 25) for number in range(MANY)]
    assert told(WritePace(), *slow_back)[-1] == -0.008
    alike_in_neither = [(60 + 9 * number, 25 + 9 * number) for number in range(MANY)]
    assert told(WritePace(), *alike_in_neither, (150, 25))[-1] == 0.0


def test_by_when_one_answer_was_made_nothing_is_known_of_the_next() -> None:
    assert told(WritePace(), (60, 25), (60, 25)) == [0.06, 0.06]
    pace = WritePace()
    answered(pace, *[50] * ENOUGH)
    assert told(pace, (70, 25), (70, 25), (70, 25)) == [0.02, 0.02, 0.0]


def test_a_clock_that_is_set_holds_writes_no_further_apart_than_without_it() -> None:
    pace = WritePace()
    told(pace, *[(50, 10)] * MANY)
    assert told(pace, (55, 90_010), (55, -90_000), (55, 10)) == [-0.003, -0.003, -0.003]


def test_after_a_refusal_no_time_is_believed() -> None:
    """Who counts a write later than the answer says that it was made would be believed for ever."""
    pace = WritePace()
    told(pace, *[(50, 10)] * MANY)
    refused(pace)
    assert told(pace, (80, 10)) == [0.03]
    assert told(pace, *[(80, 10)] * REMEMBERED)[-1] == -0.008


@pytest.mark.parametrize(("refusals", "believed"), [(1, True), (2, False)])
def test_after_two_refusals_while_times_were_believed_none_is_any_more(
    refusals: int, *, believed: bool
) -> None:
    pace = WritePace()
    for _ in range(refusals):
        told(pace, *[(50, 10)] * REMEMBERED, (80, 10), (60, 10))
        pace.came_too_soon()
    assert told(pace, *[(50, 10)] * REMEMBERED, (80, 10))[-1] == (-0.008 if believed else 0.03 - 0.008)


def test_refusals_before_any_time_was_believed_are_held_against_none() -> None:
    pace = WritePace()
    for _ in range(3):
        refused(pace)
    answered(pace, *[50] * 3 * REMEMBERED)
    assert told(pace, *[(50, 10)] * ENOUGH, (80, 10))[-1] == 0.0


@pytest.mark.parametrize(("quiet_ms", "late_s"), [(9_000, 0.002 - 0.008), (11_000, 0.03 - 0.008)])
def test_after_a_while_without_writes_the_exchanges_clock_is_learnt_anew(
    quiet_ms: int, late_s: float
) -> None:
    """It may have run a little slower: what was late would seem to be soon."""
    pace = WritePace()
    pace.is_prepared(100_000)
    told(pace, *[(50, 10)] * MANY)
    pace.is_prepared(100_000 + quiet_ms)
    assert told(pace, (80, 12)) == [late_s]


@pytest.mark.parametrize(("made_ms", "late_s"), [(1, 0.0), (-1, 0.06 - 0.008), (-2_490, 0.06 - 0.008)])
def test_a_clock_that_was_set_back_is_learnt_anew(made_ms: int, late_s: float) -> None:
    pace = WritePace()
    told(pace, *[(50, 10)] * MANY)
    assert told(pace, (110, made_ms)) == [late_s]
    assert told(pace, *[(50, made_ms)] * ENOUGH, (80, made_ms + 5))[-1] <= 0.005


@pytest.mark.parametrize("made_at", [0.0, 0.5, 1.0], ids=["as it is counted", "later", "as it leaves"])
@pytest.mark.parametrize("spread_ms", [2, 9])
def test_hardly_any_two_are_counted_within_a_second(made_at: float, spread_ms: int) -> None:
    """Ways there and back differ, and one in eleven takes 60 ms longer."""
    too_soon, writes, took_ms = 0, 0, 0.0
    for seed in range(60):
        chance, pace, leaves_ms, counted_ms = random.Random(seed), WritePace(), 0.0, -2_000.0
        for _ in range(100):
            there_ms, back_ms = (
                25 + chance.uniform(0, spread_ms) + 60 * (chance.random() < 1 / 11) for _ in range(2)
            )
            too_soon += leaves_ms + there_ms - counted_ms < 1_000
            counted_ms = leaves_ms + there_ms
            made_ms = int(leaves_ms + there_ms + made_at * back_ms) + 1_790_000_000_000
            late_s = pace.answered(there_ms + back_ms, made_ms=made_ms - leaves_ms)
            leaves_ms += 1000 * late_s + 1_010
        took_ms, writes = took_ms + leaves_ms, writes + 100
    assert too_soon <= writes / 500
    assert took_ms / writes < (1_018 if made_at == 0.0 else 1_030)


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
