"""The exchange's clocks: wall time with an offset for what it says, monotonic time for what it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal


class Clock:
    """Server time in ms (`offset_ms` ahead of the wall) and real seconds since the sandbox began."""

    def __init__(
        self,
        offset_ms: int = 0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.offset_ms = offset_ms
        self._wall = wall
        self._monotonic = monotonic
        self._origin = monotonic()

    def now_ms(self) -> int:
        """The server's time, ms since 1970."""
        return int(self._wall() * 1000) + self.offset_ms

    def real_s(self) -> Decimal:
        """Monotonic seconds, which no shift of the server's clock moves."""
        return Decimal(str(round(self._monotonic() - self._origin, 6)))
