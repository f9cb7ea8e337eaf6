"""What a quiet cycle does without, read all at once when something may have to be done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import Channel
from ltv_guard.guard.reads.balances import Balances
from ltv_guard.guard.reads.histories import Histories
from ltv_guard.guard.reads.prices import Prices
from ltv_guard.guard.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to read: balances of `coins` in the Funding wallet, and of `unified` in the Unified account.

    `histories`: each back to an exchange time (ms). `spare`: an older reading of the wallet, for what does
    not come at once. `needs_prices`: they are waited for as long as they take.
    """

    coins: frozenset[str]
    unified: frozenset[str] | None = None
    histories: Mapping[Channel, int]
    spare: Mapping[str, Decimal] | None = None
    needs_prices: bool = True


class CloserLook:
    """`grace_s`: how much longer than all else prices are waited for, where they can be done without."""

    def __init__(self, balances: Balances, prices: Prices, histories: Histories, *, grace_s: float) -> None:
        self._balances = balances
        self._prices = prices
        self._histories = histories
        self._grace_s = grace_s

    async def read(self, snapshot: Snapshot, wanted: Wanted, *, ahead: bool = False) -> None:
        """Adds what is `wanted` to the snapshot, all at once; what can't be read is said, and lacks.

        `ahead`: beside the loans, of which there are none yet.
        """
        prices = asyncio.create_task(self._prices.read(snapshot))
        try:
            await asyncio.gather(
                self._balances.read(snapshot, wanted.coins, wanted.unified, wanted.spare),
                self._histories.read(snapshot, wanted.histories, anew=ahead),
            )
            await asyncio.wait({prices}, timeout=None if wanted.needs_prices else self._grace_s)
        finally:
            prices.cancel()

    async def read_on(self, snapshot: Snapshot, histories: Mapping[Channel, int]) -> None:
        """Adds those that were asked for before and did not come soon, where they are there by now."""
        await self._histories.read(snapshot, histories)
