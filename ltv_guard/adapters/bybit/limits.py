"""Rate limits: requests of one API user spaced evenly per endpoint, and held back when the exchange says so.

Limits of v5/rate-limit, per endpoint and user id. Crypto loans: one adjustment and five reads a second.
Transfers: sixty a minute, and sixty reads of their list.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from aiolimiter import AsyncLimiter

# A little more than the limits ask: requests may reach the exchange closer together than they left.
WRITE_SPACING_S = 1.1
READ_SPACING_S = 0.21
WRITES = ("/adjust-ltv", "/repay", "/inter-transfer")
# Sixty a minute: as slow as a write in the long run, with a few to begin with, while an end is awaited.
SLOW_READS = ("/query-inter-transfer-list",)
SLOW_READS_AT_ONCE = 5
LONGEST_HOLD_S = 5.0
USUAL_HOLD_S = 1.0

LEFT = "X-Bapi-Limit-Status"
RESET = "X-Bapi-Limit-Reset-Timestamp"


class Pace:
    """The turns of one endpoint, first come, first served."""

    def __init__(
        self,
        spacing_s: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        *,
        at_once: int = 1,
    ) -> None:
        self._limiter = AsyncLimiter(at_once, spacing_s * at_once)
        self._queue = asyncio.Lock()
        self._monotonic = monotonic
        self._sleep = sleep
        self._held_until = float("-inf")

    def hold(self, seconds: float) -> None:
        self._held_until = max(self._held_until, self._monotonic() + seconds)

    async def turn(self) -> None:
        async with self._queue:
            await self._outwait_hold()
            await self._limiter.acquire()
            while self._held_until > self._monotonic():  # a hold that began while we waited our turn
                await self._outwait_hold()
                await self._limiter.acquire()

    async def _outwait_hold(self) -> None:
        while (left := self._held_until - self._monotonic()) > 0:
            await self._sleep(left)


class AddressLimit:
    """The limit of this machine's address (10018), shared by every client of the host: all of them wait.

    The exchange counts 600 requests in 5 s, over all keys; whoever goes on is banned for ten minutes.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._held_until = float("-inf")

    @property
    def held_s(self) -> float:
        """Seconds until requests may leave again; 0 where none is held."""
        return max(0.0, self._held_until - self._monotonic())

    def refuse(self, headers: Mapping[str, str], now_ms: int) -> None:
        """Obeys a refusal: waits for the reset, or as long as the limit counts where that is missing."""
        until_reset_s = _seconds_until(headers.get(RESET), now_ms)
        hold_s = LONGEST_HOLD_S if until_reset_s is None else min(until_reset_s, LONGEST_HOLD_S)
        self._held_until = max(self._held_until, self._monotonic() + hold_s)

    async def outwait(self) -> None:
        while (left := self.held_s) > 0:
            await self._sleep(left)


class RequestLimits:
    """The paces of one API user: every endpoint has its own, so that reads never starve writes."""

    def __init__(
        self,
        *,
        spacing_s: Mapping[str, float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`spacing_s` gives endpoints (paths) a spacing other than that of reads, or of writes."""
        self._spacing_s = dict(spacing_s or {})
        self._monotonic = monotonic
        self._sleep = sleep
        self._paces: dict[str, Pace] = {}

    async def turn(self, path: str) -> None:
        """Waits until a request to `path` may leave."""
        await self._pace(path).turn()

    def observe(self, path: str, headers: Mapping[str, str], now_ms: int) -> None:
        """Obeys an answer that says that nothing is left. `now_ms` is the exchange's time.

        A reset that is missing, past or absurd is passed over: the spacing keeps the limit by itself.
        """
        until_reset_s = _seconds_until(headers.get(RESET), now_ms)
        if headers.get(LEFT) == "0" and until_reset_s is not None and until_reset_s <= LONGEST_HOLD_S:
            self._pace(path).hold(until_reset_s)

    def refuse(self, path: str, headers: Mapping[str, str], now_ms: int) -> None:
        """Obeys a refusal (10006, HTTP 429): waits for the reset, a second where that is missing or past."""
        until_reset_s = _seconds_until(headers.get(RESET), now_ms)
        self._pace(path).hold(USUAL_HOLD_S if until_reset_s is None else min(until_reset_s, LONGEST_HOLD_S))

    def _pace(self, path: str) -> Pace:
        if path not in self._paces:
            is_slow = path.endswith(SLOW_READS)
            usual = WRITE_SPACING_S if is_slow or path.endswith(WRITES) else READ_SPACING_S
            self._paces[path] = Pace(
                self._spacing_s.get(path, usual),
                self._monotonic,
                self._sleep,
                at_once=SLOW_READS_AT_ONCE if is_slow else 1,
            )
        return self._paces[path]


def _seconds_until(reset: str | None, now_ms: int) -> float | None:
    if reset is None or not (reset.isascii() and reset.isdigit()) or len(reset) > len(str(now_ms)) + 1:
        return None
    seconds = (int(reset) - now_ms) / 1000
    return seconds if seconds > 0 else None
