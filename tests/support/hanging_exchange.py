"""An exchange that answers in 50 ms, but for what hangs, and a loan that crosses its trigger there.

A read is given up after two tries of 4 s, as the client does.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

from exchange_model import a_world
from slow_exchange import SlowAccountDaemon, SlowWorld, time_s

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.loans import LoanKey, Moment

QUICK_S, GIVEN_UP_S, WATCHED_S = 0.05, 8.5, 60


@dataclass(slots=True)
class HangingWorld(SlowWorld):
    """`hangs`: what does not answer; `takes_s`: what takes longer than all else; `asked`: how often."""

    hangs: set[str] = field(default_factory=set)
    quick_s: float = QUICK_S
    takes_s: dict[str, float] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    _was_asked: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def answer(self, what: str) -> Moment:
        leaves = self.now()
        self.asked[what] += 1
        self._was_asked[what].set()
        hangs = what in self.hangs
        await asyncio.sleep(GIVEN_UP_S if hangs else self.takes_s.get(what, self.quick_s))
        self.now()
        if hangs:
            raise ExchangeUnavailable(f"{what}: no answer")
        return leaves

    async def is_asked(self, what: str) -> None:
        """Anew."""
        self._was_asked[what].clear()
        await self._was_asked[what].wait()


def a_hanging_world(
    *ltvs: str, pool: str | None = None, per_page: int = 100, unified: str = "0"
) -> HangingWorld:
    plain = a_world(*ltvs, pool=pool, unified=unified)
    return HangingWorld(loans=plain.loans, wallet=plain.wallet, unified=plain.unified, rows_per_page=per_page)


async def beside(
    world: HangingWorld, happens: Callable[[SlowAccountDaemon], Awaitable[None]], *, transfers: bool = False
) -> None:
    """A daemon, for as long as that takes."""
    daemon = SlowAccountDaemon(world, transfers=transfers)
    running = asyncio.create_task(daemon.run())
    await happens(daemon)
    await daemon.end(running)


async def crossing(
    world: HangingWorld,
    whom: LoanKey,
    ltv: str,
    hangs: Collection[str],
    *,
    transfers: bool = False,
    after_s: float = 40,
    while_asked: str | None = None,
) -> float:
    """After how many seconds an add leaves for it that crosses its trigger; infinite: not within a minute.

    It crosses after so long, and `while_asked`: as soon as that is asked for then.
    """
    began_s = 0.0

    async def cross(daemon: SlowAccountDaemon) -> None:
        nonlocal began_s
        await asyncio.sleep(after_s)
        world.hangs |= set(hangs)
        if while_asked is not None:
            await world.is_asked(while_asked)
        world.now()
        world.loans[whom].debt *= Decimal(ltv) / world.ltv(whom)  # it borrows more, say
        world.note()
        began_s, world.watched = time_s(), whom
        daemon.wake(whom)
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCHED_S):
                await world.added.wait()

    await beside(world, cross, transfers=transfers)
    return float("inf") if world.added_s is None else world.added_s - began_s
