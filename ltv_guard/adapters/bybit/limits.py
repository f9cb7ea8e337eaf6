"""Rate limits of one API user: those of a second are sent together, and held back when the exchange says so.

Limits of v5/rate-limit, per endpoint and user id. Crypto loans: one adjustment and five reads a second.
Transfers: sixty a minute, and sixty reads of their list.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ltv_guard.adapters.bybit.windows import Priority, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many requests in so many seconds.

    One counts from its answer, if that comes within `late_s`, or else from so long after it has left.
    """

    requests: int
    seconds: float
    late_s: float = 0.0


# A little longer than the limits ask: requests may reach the exchange closer together than they left.
OF_WRITES = Rate(requests=1, seconds=1.01, late_s=0.09)
OF_READS = Rate(requests=5, seconds=1.01, late_s=0.25)
# Sixty a minute: as slow as a write in the long run, with a few to begin with, while an end is awaited.
OF_SLOW_READS = Rate(requests=5, seconds=5.5)
WRITES = ("/adjust-ltv", "/repay", "/repay-collateral", "/fully-repay", "/inter-transfer")
SLOW_READS = ("/query-inter-transfer-list",)
LONGEST_HOLD_S = 5.0
USUAL_HOLD_S = 1.0
CLOCKS_DIFFER_S = 0.05  # the reset is told in the exchange's time

LEFT = "X-Bapi-Limit-Status"
RESET = "X-Bapi-Limit-Reset-Timestamp"


class RequestLimits:
    """The windows of one API user: every endpoint has its own, so that reads never starve writes."""

    def __init__(
        self,
        *,
        spacing_s: Mapping[str, float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`spacing_s` gives endpoints (paths) other seconds for each request than the limits do."""
        self._spacing_s = dict(spacing_s or {})
        self._monotonic = monotonic
        self._sleep = sleep
        self._windows: dict[str, Window] = {}

    @property
    def rooms(self) -> dict[str, int]:
        """Endpoint that was used (its path) -> how many requests may leave for it now."""
        return {path: window.room for path, window in self._windows.items()}

    async def enter(self, path: str, priority: Priority, *, kept: int = 0) -> None:
        """Waits until a request to `path` may leave, and leaves room for `kept` others.

        Call `leave` once it has left.
        """
        await self._window(path).enter(priority, kept=kept)

    async def until_room(self, path: str, *, ahead_s: float) -> bool:
        """Waits until `ahead_s` before a write to `path` may leave. Takes no turn. Whether it waited."""
        return await self._window(path).until_room(Priority.WRITE, ahead_s=ahead_s)

    def leave(self, path: str) -> float:
        """It has left. Returns when it is counted at the latest (monotonic seconds), for `was_counted`."""
        return self._window(path).leave(late_s=rate_of(path).late_s)

    def leaves_only_now(self, path: str, left: float) -> float:
        """What `leave` was called for leaves in this moment. Returns as that does."""
        at = self._monotonic() + rate_of(path).late_s
        self._window(path).counts_from(left, at)
        return at

    def was_counted(self, path: str, left: float, *, late_s: float | None = None) -> float:
        """What left is answered: it can't be counted any more. `late_s`: nor so long after it had left.

        Returns since when it counts here (monotonic seconds).
        """
        counted = None if late_s is None else left - rate_of(path).late_s + late_s
        return self._window(path).was_counted(left, counted)

    def observe(self, path: str, headers: Mapping[str, str], now_ms: int) -> None:
        """Obeys an answer that says that nothing is left. `now_ms` is the exchange's time.

        A reset that is missing, past or absurd is passed over: the window keeps the limit by itself.
        """
        left_s = seconds_until(headers.get(RESET), now_ms)
        if headers.get(LEFT) == "0" and left_s is not None and left_s <= LONGEST_HOLD_S:
            self._window(path).hold(left_s)

    def refuse(
        self, path: str, headers: Mapping[str, str], now_ms: int, *, uncounted: float | None = None
    ) -> None:
        """Obeys a refusal (10006, HTTP 429): waits for the reset, a second where that is missing or past.

        `uncounted`: since when the one that was refused counts here. Where a reset is told it counts no more.
        """
        window, reset = self._window(path), headers.get(RESET)
        if uncounted is not None:  # the reset may be past by now, for the refusal was on its way
            left_s = seconds_until(reset, now_ms, past_s=USUAL_HOLD_S)
            if left_s is not None:
                window.was_not_counted(uncounted)
                window.hold(min(left_s + CLOCKS_DIFFER_S, LONGEST_HOLD_S))
                return
        left_s = seconds_until(reset, now_ms)
        window.hold(USUAL_HOLD_S if left_s is None else min(left_s, LONGEST_HOLD_S))

    def _window(self, path: str) -> Window:
        if path not in self._windows:
            rate = rate_of(path)
            spacing_s = self._spacing_s.get(path, rate.seconds / rate.requests)
            self._windows[path] = Window(
                rate.requests, spacing_s * rate.requests, monotonic=self._monotonic, sleep=self._sleep
            )
        return self._windows[path]


def rate_of(path: str) -> Rate:
    """How many requests of a user may leave for that path, and in how many seconds."""
    if path.endswith(SLOW_READS):
        return OF_SLOW_READS
    return OF_WRITES if path.endswith(WRITES) else OF_READS


def seconds_until(reset: str | None, now_ms: int, *, past_s: float = 0.0) -> float | None:
    """From a header; None where it is missing, past (by more than `past_s`), or nothing that can be."""
    if reset is None or not (reset.isascii() and reset.isdigit()) or len(reset) > len(str(now_ms)) + 1:
        return None
    seconds = (int(reset) - now_ms) / 1000
    return max(0.0, seconds) if seconds > -past_s else None
