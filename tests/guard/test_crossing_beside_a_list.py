"""What was sent before a long list is settled while that is read: a crossing need not wait for its end."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from exchange_model import a_world, key_of
from slow_exchange import SlowAccountDaemon, SlowWorld, in_made_up_time, time_s

from ltv_guard.core.model.loans import LoanKey

PAGES, ANSWER_S = 20, 0.1
FIRST, SECOND = (key_of(1), key_of(30)), key_of(3)


def breaches(world: SlowWorld, key: LoanKey) -> None:
    world.loans[key].debt *= Decimal("0.76") / world.ltv(key)
    world.note()


async def until_a_crossing_is_answered() -> float:
    """A whole list shows a breach, which is helped; prices tell of another one once the next list has begun.

    The list before was given up for another breach: not twice in a row.
    """
    plain = a_world(*["0.60"] * (2 * PAGES), wallet="100000")
    world = SlowWorld(loans=plain.loans, wallet=plain.wallet, rows_per_page=2)
    world.answer_s = lambda _: ANSWER_S
    daemon = SlowAccountDaemon(world)
    running = asyncio.create_task(daemon.run())
    await daemon.has_looked.wait()
    for key in FIRST:
        world.added.clear()
        breaches(world, key)
        await world.added.wait()
        await asyncio.sleep(1.0)  # the answer, its row, some pages
    breaches(world, SECOND)
    world.watched, began_s = SECOND, time_s()
    world.added.clear()
    daemon.wake(SECOND)
    await world.added.wait()
    await daemon.end(running)
    assert world.added_s is not None
    return world.added_s - began_s


def test_a_crossing_beside_a_long_list_is_acted_on_though_an_add_has_just_landed() -> None:
    assert in_made_up_time(until_a_crossing_is_answered()) < PAGES * ANSWER_S / 4
