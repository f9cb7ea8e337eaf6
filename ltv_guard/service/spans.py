"""How long something took, counted by bounds: a histogram."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate

from ltv_guard.core.model.status import Span

BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)


@dataclass(slots=True)
class Spans:
    """How long something took, counted by bounds."""

    _within: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_S))
    _count: int = 0
    _total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Counts one."""
        self._count += 1
        self._total_s += seconds
        at = bisect_left(BOUNDS_S, seconds)
        if at < len(BOUNDS_S):
            self._within[at] += 1

    @property
    def shown(self) -> Span:
        """As it is told, in seconds."""
        at_most = tuple(zip(BOUNDS_S, accumulate(self._within), strict=True))
        return Span(at_most=at_most, count=self._count, total_s=self._total_s)
