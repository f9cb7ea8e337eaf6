"""The second page of a list, asked for beside the first where it is known to be empty: one round trip.

A history names a successor behind its last row too. Only that this page is empty shows that no rows are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ltv_guard.adapters.bybit.fields import Row

MOST_IN_VAIN = 3  # so often in a row it may be asked for in vain, where a list names another one each time

Ask = Callable[[str], Awaitable[Row]]


class SecondPage:
    """Mutable: where the second page of one list of one account began when it was last seen empty."""

    def __init__(self) -> None:
        self._cursor = ""
        self._in_vain = 0

    @asynccontextmanager
    async def asked_for_by(self, ask: Ask) -> AsyncIterator[Ask]:
        """For one read of the list: gives the page behind each cursor, in turn, from "" on."""
        reading = _OneRead(ask, self._cursor if self._in_vain < MOST_IN_VAIN else "")
        try:
            yield reading.behind
        finally:
            reading.drop()
            self._learn(reading)

    def _learn(self, reading: _OneRead) -> None:
        if reading.was_in_vain:
            self._in_vain += 1
        elif reading.guess:
            self._in_vain = 0
        if reading.empty_behind:
            self._cursor = reading.empty_behind


class _OneRead:
    """One read of the list. `guess`: the cursor of the second page, as it is thought to be; "" for none."""

    def __init__(self, ask: Ask, guess: str) -> None:
        self.guess = guess
        self.was_in_vain = False
        self.empty_behind = ""
        self._ask = ask
        self._ahead: asyncio.Future[Row] | None = None
        self._asked = 0

    async def behind(self, cursor: str) -> Row:
        self._asked += 1
        if self._asked == 1 and self.guess:
            self.was_in_vain = True  # until it is of use
            self._ahead = asyncio.ensure_future(self._ask(self.guess))
            self._ahead.add_done_callback(_heed)
        if self._asked != 2:  # noqa: PLR2004 - the second page
            return await self._ask(cursor)
        result = await self._second(cursor)
        if not result.get("list"):
            self.empty_behind = cursor
        return result

    def drop(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()

    async def _second(self, cursor: str) -> Row:
        if self._ahead is None or cursor != self.guess:
            return await self._ask(cursor)
        self.was_in_vain = False
        return await self._ahead


def _heed(reading: asyncio.Future[Row]) -> None:
    """Whoever waits for it hears of what it raised; nobody may."""
    if not reading.cancelled():
        reading.exception()
