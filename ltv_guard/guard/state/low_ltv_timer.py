"""For how long each loan's LTV was seen to be low: a release waits for that."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltv_guard.core.model.loans import LoanKey, Moment


@dataclass(slots=True)
class LowLtvTimer:
    """Mutable, owned by one guard."""

    _low: dict[LoanKey, tuple[int, int]] = field(default_factory=dict)

    def low_for_ms(self, key: LoanKey) -> int:
        """Sighted ms that the loan has been low for, up to the last look; 0 where it is not."""
        return self._low.get(key, (0, 0))[1]

    def saw(self, key: LoanKey, *, low: bool, seen_at: Moment, longest_gap_ms: int) -> None:
        """Notes a look at the loan; time that nobody looked does not count."""
        if not low:
            self._low.pop(key, None)
            return
        last, sighted = self._low.get(key, (seen_at.monotonic_ms, 0))
        gap = seen_at.monotonic_ms - last
        sighted += gap if gap <= longest_gap_ms else 0
        self._low[key] = (seen_at.monotonic_ms, sighted)
