"""HTTP 403: every request to the host stops for ten minutes, and never longer (v5/rate-limit)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ltv_guard.core.model.errors import ExchangeBanned
from ltv_guard.core.model.timing import TIMING

BAN_S = TIMING.ban_ms / 1000


class Ban:
    """The ban of one host, shared by every client of it. Counted on the monotonic clock."""

    def __init__(
        self,
        host: str,
        *,
        remaining_s: float = 0.0,
        lasts_s: float = BAN_S,
        on_ban: Callable[[str, float], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`remaining_s` restores an earlier process's ban; `on_ban(host, seconds)` hears of each new one."""
        self.host = host
        self.on_ban = on_ban
        self._monotonic = monotonic
        self._lasts_s = lasts_s
        self._start(min(max(remaining_s, 0.0), lasts_s))

    @property
    def remaining_s(self) -> float:
        """Seconds until requests may go out again; 0 where there is no ban."""
        return max(self._ends - self._monotonic(), 0.0)

    def begin(self) -> None:
        """Starts it. An answer that was under way when it started does not make it longer."""
        if self.remaining_s > 0:
            return
        self._start(self._lasts_s)
        if self.on_ban is not None:
            self.on_ban(self.host, self._lasts_s)

    def check(self) -> None:
        """Raises ExchangeBanned while the ban lasts."""
        left = self.remaining_s
        if left > 0:
            raise ExchangeBanned(
                f"{self.host} answered HTTP 403 (too many requests, or an address that it does not serve): "
                f"nothing is sent to it until {self._until}",
                retry_in_s=left,
            )

    def _start(self, lasts_s: float) -> None:
        """The end is put into words once: what is told again and again has to say the same."""
        self._ends = self._monotonic() + lasts_s
        self._until = f"{datetime.now(UTC) + timedelta(seconds=lasts_s):%H:%M:%S} UTC"
