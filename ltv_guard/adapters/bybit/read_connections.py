"""Connections for what a crossing asks for at once, opened as its account comes near a trigger.

A list, the wallet, prices and a history leave together, and a handshake takes longer than an answer. What is
looked at again and again from then on takes one connection after the other, and so keeps them open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

AT_ONCE = 4


class ReadConnections:
    """Mutable, of one account. `ask` makes a request that costs little; `may_open`: one more connection."""

    def __init__(self, ask: Callable[[], Awaitable[object]], may_open: Callable[[], bool]) -> None:
        self._ask = ask
        self._may_open = may_open
        self._opened = 0
        self._opening: asyncio.Future[list[object]] | None = None

    def open(self, *, anew: bool) -> None:
        """Begins to open those that are not, as many as may be. `anew`: none is."""
        if self._opening is not None and not self._opening.done():
            return
        if anew:
            self._opened = 0
        if self._opened == AT_ONCE:
            return
        # Requests that are under way at once take a connection each: those that are open, and new ones.
        self._opened = sum(self._may_open() for _ in range(AT_ONCE))
        asks = [self._ask() for _ in range(self._opened)]
        self._opening = asyncio.ensure_future(asyncio.gather(*asks, return_exceptions=True))
