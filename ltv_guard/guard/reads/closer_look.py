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
from ltv_guard.guard.snapshot import GuardOptions, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to read: balances of `coins` in the Funding wallet, and of `unified` in the Unified account.

    `histories`: each back to an exchange time (ms). `spare`: an older reading of the wallet, for what does
    not come at once. `needs_prices`: they are waited for as long as they take, but `in_emergency`.
    """

    coins: frozenset[str]
    unified: frozenset[str] | None = None
    histories: Mapping[Channel, int]
    spare: Mapping[str, Decimal] | None = None
    needs_prices: bool = True
    in_emergency: bool = False


class CloserLook:
    """Waits little longer for prices than for all else, where they can be done without or in an emergency."""

    def __init__(
        self, balances: Balances, prices: Prices, histories: Histories, options: GuardOptions
    ) -> None:
        self._balances = balances
        self._prices = prices
        self._histories = histories
        self._options = options
        self.grace_s = options.grace_s  # so much longer are prices waited for that can be done without

    async def read(
        self, snapshot: Snapshot, wanted: Wanted, *, ahead: asyncio.Future[None] | None = None
    ) -> None:
        """Adds what is `wanted` to the snapshot, all at once; what can't be read is said, and lacks.

        `ahead`: beside the loans, of which there are none yet; it is done once all but prices is there.
        """
        prices = asyncio.create_task(self._prices.read(snapshot))
        try:
            await asyncio.gather(
                self._balances.read(snapshot, wanted.coins, wanted.unified, wanted.spare),
                self._histories.read(snapshot, wanted.histories, anew=ahead is not None),
            )
            if ahead is not None and not ahead.done():
                ahead.set_result(None)
            await asyncio.wait({prices}, timeout=self._longest_s(wanted))
        finally:
            prices.cancel()

    def _longest_s(self, wanted: Wanted) -> float | None:
        if not wanted.needs_prices:
            return self.grace_s
        # A pool's own numbers imply prices: in an emergency those will do.
        return self._options.short_wait_s if wanted.in_emergency else None

    async def read_on(self, snapshot: Snapshot, histories: Mapping[Channel, int]) -> None:
        """Adds those that were asked for before and did not come soon, where they are there by now."""
        await self._histories.read(snapshot, histories)
