"""A slow exchange, as in a crash: the first add leaves two answers after the page that shows the breach.

However long an answer takes, and wherever the reading of the list is when prices fall.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import pytest
import structlog
from exchange_model import a_world, key_of
from slow_exchange import SETTLE_S, SlowAccountDaemon, SlowWorld, in_made_up_time, time_s

from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Direction, LoanKey
from ltv_guard.guard.slowness import Slowness
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.log.alert_repeater import AlertRepeater

MOST_ANSWERS = 2  # the loan by its id, and the same for its turn: three were promised
A_PAGE = 2  # orders
WITHIN_S = 300
ROUNDING = 0.001
CALM_S = 120  # all has settled by then


@dataclass(frozen=True, slots=True)
class Setting:
    """So many pages of orders, and how long an answer takes (s) by the time since the fall began."""

    pages: int
    answer_s: Callable[[float], float]
    longest_s: float


def ever_slower(since_s: float) -> float:
    return 0.05 + 2.95 * min(1.0, max(0.0, since_s) / 60)


SETTINGS = {
    "210 orders, 3.4 s": Setting(3, lambda _: 3.4, 3.4),
    "810 orders, 1.3 s": Setting(9, lambda _: 1.3, 1.3),
    "210 orders, from 50 ms to 3 s": Setting(3, ever_slower, 3.0),
    "810 orders, from 50 ms to 3 s": Setting(9, ever_slower, 3.0),
}
FAST = Setting(3, lambda _: 0.05, 0.05)


def a_slow_world(setting: Setting) -> SlowWorld:
    plain = a_world(*["0.60"] * (A_PAGE * setting.pages), pool="0.60")
    return SlowWorld(loans=plain.loans, wallet=plain.wallet, rows_per_page=A_PAGE, answer_s=setting.answer_s)


def falls(world: SlowWorld, key: LoanKey, ltv: str) -> None:
    loan = world.loans[key]
    loan.debt *= Decimal(ltv) / world.ltv(key)
    world.note()


async def answers_until_added(
    world: SlowWorld, daemon: SlowAccountDaemon, running: asyncio.Task[None]
) -> float:
    """How many answers passed until the add that was waited for; the daemon is ended then."""
    async with asyncio.timeout(WITHIN_S):
        await world.added.wait()
    await daemon.end(running)
    return world.answers_until_the_add()


async def answers_until_the_add(
    setting: Setting, whom: LoanKey, after_s: float, *, streams: bool = False, sooner_s: float = 0
) -> float:
    """How many, where the price falls so long after the guard has looked for the first time.

    `sooner_s`: so long before that prices wake it.
    """
    world = a_slow_world(setting)
    world.watched = whom
    daemon = SlowAccountDaemon(world)
    running = asyncio.create_task(daemon.run())
    await daemon.has_looked.wait()
    await asyncio.sleep(after_s)
    if streams:
        daemon.wake(whom)
    await asyncio.sleep(sooner_s)
    falls(world, whom, "0.76")
    return await answers_until_added(world, daemon, running)


WHOM = pytest.mark.parametrize("whom", [key_of(2), key_of(6)], ids=["on the first page", "on the third page"])


@WHOM
@pytest.mark.parametrize("name", SETTINGS)
def test_the_first_add_leaves_two_answers_after_the_page(name: str, whom: LoanKey) -> None:
    setting = SETTINGS[name]
    answers = answers_until_the_add(setting, whom, 0.4 * setting.longest_s)
    assert in_made_up_time(answers) <= MOST_ANSWERS + ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True], ids=["polling", "stream"])
@WHOM
@pytest.mark.parametrize("name", SETTINGS)
def test_so_it_does_whenever_prices_fall(name: str, whom: LoanKey, *, streams: bool) -> None:
    """What prices have asked for at once may show it an answer before the cycle that acts on it begins."""
    setting, most = SETTINGS[name], MOST_ANSWERS + streams
    for at in range(48):
        after_s = at * setting.longest_s / 2.3
        answers = answers_until_the_add(setting, whom, after_s, streams=streams)
        assert in_made_up_time(answers) <= most + ROUNDING


@WHOM
@pytest.mark.parametrize("name", SETTINGS)
def test_so_it_does_where_prices_woke_it_before_the_exchange_showed_the_breach(
    name: str, whom: LoanKey
) -> None:
    longest_s = SETTINGS[name].longest_s
    for at in range(4):
        after_s = (0.4 + at) * longest_s
        answers = answers_until_the_add(SETTINGS[name], whom, after_s, streams=True, sooner_s=1.3 * longest_s)
        assert in_made_up_time(answers) <= MOST_ANSWERS + ROUNDING


def test_a_crossing_late_in_a_long_list_is_not_lost_with_that_list() -> None:
    """The loan was asked for at once; the list was whole before that answer, which takes seconds, came."""
    setting, after_page_s = SETTINGS["810 orders, from 50 ms to 3 s"], 44.4
    answers = answers_until_the_add(setting, key_of(6), after_page_s, streams=True)
    assert in_made_up_time(answers) <= MOST_ANSWERS + 1 + ROUNDING


async def open_then_answers(setting: Setting) -> float:
    """The same, where the history tells nothing of an add for another loan."""
    world = a_slow_world(setting)
    world.row_lag_ms, world.answers = 3_600_000, ["lost_answer"]
    falls(world, key_of(1), "0.76")
    world.watched = key_of(2)
    daemon = SlowAccountDaemon(world)
    running = asyncio.create_task(daemon.run())
    await daemon.has_looked.wait()
    assert [item.key for item in world.sent] == [key_of(1)]
    falls(world, key_of(2), "0.76")
    return await answers_until_added(world, daemon, running)


def test_beside_something_open_the_whole_list_is_waited_for() -> None:
    setting = SETTINGS["810 orders, 1.3 s"]
    assert in_made_up_time(open_then_answers(setting)) > setting.pages


async def answers_after_another(
    setting: Setting,
    after_s: float,
    *,
    history_answers: int = 1,
    streams: bool = False,
) -> float:
    """The same, so long after an add for the first loan: its history is still read with every list."""
    world = a_slow_world(setting)
    world.history_answers = history_answers
    daemon = SlowAccountDaemon(world)
    running = asyncio.create_task(daemon.run())
    await daemon.has_looked.wait()
    falls(world, key_of(1), "0.76")
    await world.added.wait()
    await asyncio.sleep(after_s)
    assert daemon.guard.intents.tally[Direction.ADD, State.CONFIRMED] == 1
    world.added.clear()
    world.watched, world.shown_s = key_of(2), None
    falls(world, key_of(2), "0.76")
    if streams:
        daemon.wake(key_of(2))
    return await answers_until_added(world, daemon, running)


@pytest.mark.parametrize(
    ("setting", "after_s"), [(FAST, 4 * SETTLE_S), (SETTINGS["210 orders, from 50 ms to 3 s"], 7 * SETTLE_S)]
)
@pytest.mark.parametrize("streams", [False, True], ids=["polling", "stream"])
def test_soon_after_another_was_helped_its_history_is_read_beside_the_loan(
    setting: Setting, after_s: float, *, streams: bool
) -> None:
    """The history may still tell of the other: it was asked for with the loan, and not anew after it."""
    answers = answers_after_another(setting, after_s, streams=streams)
    assert in_made_up_time(answers) <= MOST_ANSWERS - streams + ROUNDING


@pytest.mark.parametrize(
    ("name", "after_s", "history_answers"),
    [("210 orders, 3.4 s", 14, 1), ("810 orders, 1.3 s", 18, 2), ("810 orders, from 50 ms to 3 s", 12, 2)],
)
@pytest.mark.parametrize("streams", [False, True], ids=["polling", "stream"])
def test_so_it_is_before_a_whole_list_was_read_since_that_ended(
    name: str, after_s: float, history_answers: int, *, streams: bool
) -> None:
    """Whom the last list does not show as we left it is read by its id as well."""
    answers = answers_after_another(SETTINGS[name], after_s, history_answers=history_answers, streams=streams)
    assert in_made_up_time(answers) <= MOST_ANSWERS + ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True], ids=["polling", "stream"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_history_of_two_pages_takes_one_answer_more_at_most(name: str, *, streams: bool) -> None:
    for at in range(16):
        after_s = CALM_S + at * SETTINGS[name].longest_s / 2.3
        answers = answers_after_another(SETTINGS[name], after_s, history_answers=2, streams=streams)
        assert in_made_up_time(answers) <= MOST_ANSWERS + 1 + ROUNDING


async def answers_to_a_second_crossing(after_s: float) -> float:
    """How many, where it comes so long after an add that prices asked for, while a long list is read."""
    world = a_slow_world(Setting(12, lambda _: 0.2, 0.2))
    daemon = SlowAccountDaemon(world)
    running = asyncio.create_task(daemon.run())
    await daemon.has_looked.wait()
    for key, rests_s in ((key_of(3), CALM_S), (key_of(2), after_s)):
        world.added.clear()
        falls(world, key, "0.76")
        daemon.wake(key)
        await world.added.wait()
        await asyncio.sleep(rests_s)
    world.added.clear()
    world.watched, world.shown_s = key_of(7), time_s()
    falls(world, key_of(7), "0.76")
    daemon.wake(key_of(7))
    return await answers_until_added(world, daemon, running)


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.7, 1.1])
def test_a_second_crossing_is_acted_on_while_the_list_after_the_first_is_read(after_s: float) -> None:
    """What the first has sent is settled by its row before: until then it is waited for, and no longer."""
    most = 7 if after_s < 0.4 else 1
    assert in_made_up_time(answers_to_a_second_crossing(after_s)) <= most + ROUNDING


async def whom_it_helps(setting: Setting, falling: dict[LoanKey, str]) -> list[LoanKey]:
    world = a_slow_world(setting)
    daemon = SlowAccountDaemon(world)
    running = asyncio.create_task(daemon.run())
    await daemon.has_looked.wait()
    falls(world, key_of(3), "0.76")  # the very first adjustment of a process ends its cycle
    await world.added.wait()
    await asyncio.sleep(CALM_S)
    for key, ltv in falling.items():
        falls(world, key, ltv)
    async with asyncio.timeout(WITHIN_S):
        while len(world.sent) <= len(falling):
            world.added.clear()
            await world.added.wait()
    await daemon.end(running)
    return [item.key for item in world.sent[1:]]


@pytest.mark.parametrize("setting", [SETTINGS["810 orders, 1.3 s"], FAST], ids=["slow", "fast"])
def test_after_the_first_add_that_a_page_asked_for_the_worst_of_the_whole_list_has_the_turn(
    setting: Setting,
) -> None:
    first, second, last = key_of(1), key_of(2), key_of(A_PAGE * setting.pages)
    helped = whom_it_helps(setting, {first: "0.76", second: "0.77", last: "0.82"})
    assert in_made_up_time(helped) == [second, last, first]


def test_a_list_that_is_not_whole_tells_nothing_of_how_slow_all_is() -> None:
    slowness = Slowness(AlertRepeater(lambda: 0), longest_ms=10_000)
    with structlog.testing.capture_logs() as told:
        assert slowness.tell(Snapshot(sweep_ms=12_000))
        assert not slowness.tell(Snapshot(in_haste=True))
        assert not slowness.tell(Snapshot(sweep_ms=2_000))
    assert [item["event"] for item in told] == ["guard_slow", "guard_in_time"]
