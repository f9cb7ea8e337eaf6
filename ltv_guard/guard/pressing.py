"""Whether prices have put a loan at its trigger while a cycle is under way: the next one is to come soon."""

from __future__ import annotations

import asyncio
from typing import Any


class Pressing:
    """Mutable, of one guard. What can be left is waited for until then, and no longer."""

    def __init__(self) -> None:
        self._told: asyncio.Future[None] | None = None
        self._has_left = False

    def cycle_begins(self) -> None:
        """It heeds what was told before."""
        self._told = asyncio.get_running_loop().create_future()
        self._has_left = False

    def tell(self) -> None:
        """Prices have."""
        if self._told is not None and not self._told.done():
            self._told.set_result(None)

    async def leaves_time_for(
        self, work: asyncio.Future[Any], within_s: float | None = None, *, at_least_s: float = 0
    ) -> bool:
        """Waits until the work is done, a loan is at its trigger, or so long. Whether it is done.

        `at_least_s` it has whatever prices do, where nothing else was left in this cycle.
        """
        if at_least_s and not self._has_left:
            await asyncio.wait({work}, timeout=at_least_s)
        either = {work} if self._told is None else {work, self._told}
        await asyncio.wait(either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        self._has_left |= not work.done()
        return work.done()
