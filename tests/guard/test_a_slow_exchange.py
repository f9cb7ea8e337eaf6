"""A slow exchange, as in a crash: the first add leaves within three answers of the breach being shown.

However long an answer takes, wherever the reading of the list is when prices fall, and whether or not
something of another loan is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import pytest
from exchange_model import POOL, a_world, key_of
from slow_exchange import SlowAccountDaemon, SlowWorld, in_made_up_time

from ltv_guard.core.model.loans import LoanKey

MOST_ANSWERS = 3
A_PAGE = 2  # orders
WITHIN_S = 300
ROUNDING = 0.001


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
OPEN = ("nothing", "unknown", "accepted", "unknown, and settled", "accepted, and settled")


def a_slow_world(setting: Setting, whom: LoanKey, is_open: str) -> SlowWorld:
    count = A_PAGE * setting.pages
    plain = a_world("0.76" if is_open != "nothing" else "0.60", *["0.60"] * (count - 1), pool="0.60")
    world = SlowWorld(loans=plain.loans, wallet=plain.wallet, rows_per_page=A_PAGE, answer_s=setting.answer_s)
    world.row_lag_ms = 0 if is_open.endswith("settled") else 3_600_000  # that long the history tells nothing
    world.answers = ["lost_answer"] if is_open.startswith("unknown") else []
    world.watched = whom
    return world


async def answers_until_the_add(
    setting: Setting, whom: LoanKey, is_open: str, after_s: float, *, streams: bool = False
) -> tuple[float, set[str]]:
    """How many, and of which loans something was open when the price fell, so long after the guard began."""
    world = a_slow_world(setting, whom, is_open)
    daemon = SlowAccountDaemon(world)
    running = asyncio.create_task(daemon.run())
    await daemon.has_looked.wait()
    await asyncio.sleep(after_s)
    was_open = daemon.open_ids()
    loan = world.loans[whom]
    loan.debt *= Decimal("0.76") / world.ltv(whom)
    world.note()
    if streams:
        daemon.wake(whom)
    async with asyncio.timeout(WITHIN_S):
        await world.added.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await daemon.guard.drain()
    return world.answers_until_the_add(), was_open


WHOM = pytest.mark.parametrize("whom", [key_of(2), key_of(6), POOL], ids=["order", "later order", "pool"])


@WHOM
@pytest.mark.parametrize("is_open", OPEN)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_first_add_leaves_within_three_answers(name: str, is_open: str, whom: LoanKey) -> None:
    setting = SETTINGS[name]
    after_s = 0.4 * setting.longest_s
    answers, was_open = in_made_up_time(answers_until_the_add(setting, whom, is_open, after_s))
    assert answers <= MOST_ANSWERS + ROUNDING
    assert was_open == (set() if is_open == "nothing" else {"1"})


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True], ids=["polling", "stream"])
@WHOM
@pytest.mark.parametrize("is_open", OPEN)
@pytest.mark.parametrize("name", SETTINGS)
def test_so_it_does_whenever_prices_fall(name: str, is_open: str, whom: LoanKey, *, streams: bool) -> None:
    setting = SETTINGS[name]
    for at in range(16):
        after_s = at * setting.longest_s / 2.3
        falls = answers_until_the_add(setting, whom, is_open, after_s, streams=streams)
        assert in_made_up_time(falls)[0] <= MOST_ANSWERS + ROUNDING
