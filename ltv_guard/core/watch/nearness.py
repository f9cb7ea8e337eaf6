"""Whether an account is near a trigger: by how far prices are from it, or by how fast they come. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

NEAR = Decimal("0.03")  # no coin that matters falls faster in a few seconds
SPEED_OVER_MS = 10_000
TIMES = 6  # if prices fell on for a minute as they did in the last ten seconds, they would be there
HELD_MS = 30_000  # so long an account stays armed after the last reason for it


@dataclass(slots=True)
class Nearness:
    """Mutable, owned by the price watch; one an account. Spans are ms, a gap is a part of the price."""

    _gaps: deque[tuple[int, Decimal]] = field(default_factory=deque)
    _armed_until_ms: int | None = None

    def is_armed(self, gap: Decimal | None, now_ms: int) -> bool:
        """Whether to be ready at `now_ms` (monotonic), by this gap and those before; and for a while longer.

        `gap`: the part by which prices may fall before a trigger; None where no loan has one.
        """
        if gap is not None and gap.is_finite() and (gap <= NEAR or self._comes_soon(gap, now_ms)):
            self._armed_until_ms = now_ms + HELD_MS
        return self._armed_until_ms is not None and now_ms < self._armed_until_ms

    def _comes_soon(self, gap: Decimal, now_ms: int) -> bool:
        while self._gaps and now_ms - self._gaps[0][0] > SPEED_OVER_MS:
            self._gaps.popleft()
        while self._gaps and self._gaps[-1][1] <= gap:  # no gap that is narrower and older will be the widest
            self._gaps.pop()
        self._gaps.append((now_ms, gap))
        _, widest = self._gaps[0]
        return gap <= TIMES * (widest - gap)
