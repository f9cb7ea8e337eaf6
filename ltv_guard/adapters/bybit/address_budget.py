"""What the exchange allows this machine's address: one budget for all accounts of the process.

The exchange counts 600 requests in 5 s, over all keys; whoever goes on is banned for ten minutes
(v5/rate-limit).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ltv_guard.adapters.bybit.limits import LONGEST_HOLD_S, RESET, seconds_until
from ltv_guard.adapters.bybit.windows import Priority, Window
from ltv_guard.core.model.timing import TIMING

SPAN_S = 5.0
SEVERAL = 8  # about as many requests as one decision needs
# Shares of the budget that others leave to what is more pressing, so that it need not wait for room.
KEPT = {
    Priority.WRITE: 0.0,
    Priority.URGENT: 0.05,
    Priority.NEAR: 0.1,
    Priority.ORDINARY: 0.1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPart:
    """So many requests in 5 s, until then (monotonic seconds); `then` so many."""

    per_5s: int
    until: float
    then: int


class AddressBudget:
    """At most `per_5s` requests in any 5 s. Each counts from before it leaves until 5 s after its answer.

    Writes go first, then what is urgent, then accounts near a trigger, then the rest; within each, every
    account has its turn. A write's place is reserved when it is signed: once signed it must not wait.
    """

    def __init__(
        self,
        per_5s: int = TIMING.ip_budget_per_5s,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = per_5s
        self._part: AddressPart | None = None
        self._window = Window(per_5s, SPAN_S, monotonic=monotonic)
        self._reserved: deque[float] = deque()

    @property
    def per_5s(self) -> int:
        """How many requests may leave in any 5 s."""
        return self._window.limit

    @per_5s.setter
    def per_5s(self, requests: int) -> None:
        self._most = requests
        self._obey()

    @property
    def counted(self) -> int:
        """How many requests the exchange may be counting now."""
        return self._window.counted

    @property
    def part(self) -> AddressPart | None:
        """What of it is this process's, where others share the address; None: all of it."""
        return self._part

    @part.setter
    def part(self, part: AddressPart | None) -> None:
        self._part = part
        self._obey()

    def _obey(self) -> None:
        part = self._part
        self._window.lower_at(*((float("inf"), 0) if part is None else (part.until, part.then)))
        self._window.limit = self._most if part is None else min(self._most, part.per_5s)

    @property
    def held_s(self) -> float:
        """Seconds until requests may leave again, after a refusal; 0 where none is held."""
        return self._window.held_s

    @property
    def room(self) -> int:
        """How many requests may leave now."""
        return self._window.room

    @property
    def has_room(self) -> bool:
        """Whether several may leave now, and some are left for what is more pressing."""
        return self._window.room >= SEVERAL + int(KEPT[Priority.NEAR] * self._window.limit)

    def refuse(self, headers: Mapping[str, str], now_ms: int) -> None:
        """Obeys a refusal (10018): waits for the reset, or for as long as the exchange counts."""
        left_s = seconds_until(headers.get(RESET), now_ms)
        self._window.hold(LONGEST_HOLD_S if left_s is None else min(left_s, LONGEST_HOLD_S))

    async def enter(self, priority: Priority, account: str) -> None:
        """Waits until a request of this account may leave. Call `leave` once it is answered, or failed."""
        await self._window.enter(priority, account, kept=int(KEPT[priority] * self._window.limit))

    def leave(self) -> None:
        """What entered is answered, or has failed: it counts for 5 s more."""
        self._window.leave()

    def enters_now(self) -> bool:
        """Whether what must not wait may leave (the clock's round trip counts). Then `leave`."""
        return self._window.enters_now()

    async def until_room(self, account: str) -> bool:
        """Waits until a write of this account may leave at once. Whether that took waiting."""
        return await self._window.until_room(Priority.WRITE, account)

    async def reserve(self, account: str) -> None:
        """Waits for a write's place, and keeps it free for 5 s."""
        await self._window.enter(Priority.WRITE, account)
        self._reserved.append(self._window.leave())

    def uses_reserved(self) -> bool:
        """Whether a signed write may leave: its place is reserved, or there is room. Then `leave`."""
        while self._reserved:
            if self._window.goes_in_for(self._reserved.popleft()):
                return True
        return self._window.enters_now()
