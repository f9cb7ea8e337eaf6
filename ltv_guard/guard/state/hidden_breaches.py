"""For how long a breach was hidden: an LTV in bounds, which all else that a loan shows contradicts."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltv_guard.core.model.loans import LoanKey, Moment


@dataclass(slots=True)
class HiddenBreaches:
    """Mutable, owned by one guard."""

    _since: dict[LoanKey, int] = field(default_factory=dict)

    def saw(self, key: LoanKey, *, hidden: bool, seen_at: Moment) -> int:
        """Notes a look at the loan. Returns for how many ms each look has shown a hidden breach."""
        if not hidden:
            self._since.pop(key, None)
            return 0
        return seen_at.monotonic_ms - self._since.setdefault(key, seen_at.monotonic_ms)
