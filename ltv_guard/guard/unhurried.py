"""What no loan waits for: looked at after a cycle, and beside the next ones where it takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ltv_guard.guard.contracts import SHORTLY_S, Contracts
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.key_access import KeyAccess
from ltv_guard.guard.pressing import Pressing
from ltv_guard.guard.reads.balances import Balances
from ltv_guard.guard.reads.contracts import WITHIN_S
from ltv_guard.guard.settings_match import Matcher
from ltv_guard.guard.snapshot import CycleResult, Snapshot
from ltv_guard.guard.unawaited import heed


class Unhurried:
    """Mutable, of one guard. One thing at a time: what would begin beside it is left to a later cycle."""

    def __init__(
        self,
        contracts: Contracts,
        key_access: KeyAccess,
        balances: Balances,
        matcher: Matcher | None,
        *,
        pressing: Pressing,
        defects: Defects,
    ) -> None:
        self._contracts = contracts
        self._key_access = key_access
        self._balances = balances
        self._matcher = matcher
        self._pressing = pressing
        self._defects = defects
        self._under_way: asyncio.Task[None] | None = None
        self._has_ended = False

    async def look_at_contracts(self, snapshot: Snapshot, result: CycleResult) -> CycleResult:
        """The result with those that are known then. Raises JournalUnavailable, as what is under way did."""

        async def look() -> None:
            with self._defects.contained("looking at fixed loans"):
                in_haste = bool(result.left_open)
                await self._contracts.look(snapshot, may_read=not result.blind, in_haste=in_haste)

        await self._do(look, WITHIN_S)
        return replace(result, contracts=self._contracts.known)

    async def look_around(self, result: CycleResult) -> None:
        """At the wallet, the key and the settings. Raises JournalUnavailable, as what is under way did."""
        await self._do(lambda: self._look_around(result), SHORTLY_S)

    async def close(self) -> None:
        """Ends what is under way, and begins nothing more."""
        self._has_ended = True
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.wait([self._under_way])

    async def _do(self, look: Callable[[], Awaitable[None]], within_s: float) -> None:
        self._take_what_is_done()
        if self._under_way is None and not self._has_ended:
            self._under_way = asyncio.ensure_future(look())
            self._under_way.add_done_callback(heed)
            await self._pressing.leaves_time_for(self._under_way, within_s)
            self._take_what_is_done()

    def _take_what_is_done(self) -> None:
        if self._under_way is not None and self._under_way.done():
            done, self._under_way = self._under_way, None
            if not done.cancelled():
                done.result()

    async def _look_around(self, result: CycleResult) -> None:
        is_calm = not (result.blind or any(decision.breach for decision in result.decisions))
        loans = [decision.loan for decision in result.decisions]
        if is_calm:
            with self._defects.contained("keeping the wallet at hand"):
                self._balances.keep_at_hand(loans)
        with self._defects.contained("looking at the key"):
            await self._key_access.look_again()
        if is_calm and self._matcher is not None:
            with self._defects.contained("comparing the settings"):
                await self._matcher.look_once(loans, [item.key for item in result.set_aside])
