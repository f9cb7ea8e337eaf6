"""Connections for what a crossing asks for at once, opened as its account comes near a trigger.

A list, the wallet, prices and a history leave together, and a handshake takes longer than an answer. What is
looked at each second from then on takes one connection after the other, and so keeps them open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

AT_ONCE = 4
AGAIN_S = 15.0  # what failed is not tried sooner, nor what was just opened: so long it stays open, idle


class ReadConnections:
    """Mutable, of one account. `ask` makes a request that costs little; `may_open`: all of them, now."""

    def __init__(self, ask: Callable[[], Awaitable[object]], may_open: Callable[[], bool]) -> None:
        self._ask = ask
        self._may_open = may_open
        self._are_open = False
        self._tried_s = -inf
        self._opening: asyncio.Task[None] | None = None

    def open(self, *, anew: bool) -> None:
        """Begins to open them, unless they are open; `anew`: they may be so no more."""
        if anew:
            self._are_open = False
        now_s = asyncio.get_running_loop().time()
        if not self._are_open and now_s - self._tried_s >= AGAIN_S and self._may_open():
            self._tried_s = now_s
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        # Requests that are under way at once take a connection each: those that are open, and new ones.
        asks = [self._ask() for _ in range(AT_ONCE)]
        found = await asyncio.gather(*asks, return_exceptions=True)
        self._are_open = not any(isinstance(item, BaseException) for item in found)
