"""For how long each loan's LTV was seen to be low: a release waits for that."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltv_guard.core.model.loans import LoanKey, Moment


@dataclass(slots=True)
class LowLtvTimer:
    """Mutable, owned by one guard."""

    _low: dict[LoanKey, tuple[int, int]] = field(default_factory=dict)

    def low_for(self, key: LoanKey, *, low: bool, seen_at: Moment, longest_gap_ms: int) -> int:
        """Sighted ms that the loan has been low for; time that nobody looked does not count."""
        if not low:
            self._low.pop(key, None)
            return 0
        last, sighted = self._low.get(key, (seen_at.monotonic_ms, 0))
        gap = seen_at.monotonic_ms - last
        sighted += gap if gap <= longest_gap_ms else 0
        self._low[key] = (seen_at.monotonic_ms, sighted)
        return sighted
