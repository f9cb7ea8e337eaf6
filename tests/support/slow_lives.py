"""A world whose reads and writes take their time, so that several writes may be unanswered at once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from exchange_model import Crash, Kinds, ModelAccount, ModelLoans, ModelPath, World
from slow_exchange import MadeUpTime

from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Moment
from ltv_guard.core.ports import Hear, SignedAdjustment

TURN_MS = 1_100


@dataclass(slots=True)
class UnhurriedWorld(World):
    """Its time goes by that of `loop`. A write takes effect `way_ms` after it has left.

    `unanswered`: what has left; `most`: so many at once. `is_dead`: the process is: nothing leaves any more.
    """

    read_ms: int = 50
    way_ms: int = 20
    back_ms: int = 30
    unanswered: list[Intent] = field(default_factory=list)
    most: int = 0
    left_ms: list[tuple[Intent, int]] = field(default_factory=list)
    free_ms: dict[Channel, int] = field(default_factory=dict)
    is_dead: bool = False
    loop: MadeUpTime = field(default_factory=MadeUpTime)
    _looked_ms: int = 0

    def now(self) -> Moment:
        passed_ms = round(self.loop.time() * 1000) - self._looked_ms
        if passed_ms > 0:
            self._looked_ms += passed_ms
            self.advance(passed_ms)
        return World.now(self)

    async def passes(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)
        self.now()

    async def sleep(self, seconds: float) -> None:
        await self.passes(seconds * 1000)

    def leaves(self, intent: Intent, channel: Channel) -> None:
        """What must hold is checked on arrival, but for this."""
        if self.is_dead:
            raise Crash
        self.now()
        assert intent.rescue_of is not None or not any(item.key == intent.key for item in self.unanswered), (
            "sent while an earlier one of the same loan is unanswered"
        )
        assert self.true_ms >= self.free_ms.get(channel, 0) - 100, "sooner than the exchange takes it"
        self.free_ms[channel] = self.true_ms + TURN_MS
        self.left_ms.append((intent, self.true_ms))
        self.unanswered.append(intent)
        self.most = max(self.most, len(self.unanswered))


class UnhurriedPath(ModelPath):
    world: UnhurriedWorld

    async def history(self, since_ms: int) -> History:
        asked = self.world.now()
        await self.world.passes(self.world.read_ms / 2)
        found = await super().history(since_ms)
        await self.world.passes(self.world.read_ms / 2)
        return replace(found, began=asked)

    async def turn(self) -> bool:
        self.world.now()
        left_ms = self.world.free_ms.get(self.channel, 0) - self.world.true_ms
        if left_ms > 0:
            await self.world.passes(left_ms)
        return left_ms > 0

    async def send(self, signed: SignedAdjustment) -> str | None:
        world, intent = self.world, signed.body.intent  # type: ignore[attr-defined]
        world.leaves(intent, self.channel)
        try:
            await world.passes(world.way_ms)
            try:
                return await super().send(signed)
            finally:
                if world.crash_at is None:
                    await world.passes(world.back_ms)
        except Crash:
            world.is_dead = True
            raise
        finally:
            world.unanswered.remove(intent)


class UnhurriedLoans(UnhurriedPath, ModelLoans):
    async def loans(self, hear: Hear | None = None) -> LoanBook:
        asked = self.world.now()
        await self.world.passes(self.world.read_ms / 2)
        book = await super().loans(hear)
        await self.world.passes(self.world.read_ms / 2)
        return replace(book, began=asked, asked=dict.fromkeys(book.asked, asked))


class UnhurriedAccount(ModelAccount):
    world: UnhurriedWorld

    async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        await self.world.passes(self.world.read_ms / 2)
        found = await super().wallet(coins)
        await self.world.passes(self.world.read_ms / 2)
        return found

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        await self.world.passes(self.world.read_ms / 2)
        found = await super().prices(again=again)
        await self.world.passes(self.world.read_ms / 2)
        return found


UNHURRIED = Kinds(account=UnhurriedAccount, loans=UnhurriedLoans, path=UnhurriedPath)
