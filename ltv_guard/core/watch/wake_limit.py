"""How often prices alone may have an account looked at: a stream that lies costs few reads. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ltv_guard.core.model.loans import LoanKey

A_LOAN_MS = 250  # a loan is looked at for prices no sooner than this after the last time
AT_ONCE, SPACING_MS = 3, 1_000  # an account: so many in a row, and in the long run one in this time


@dataclass(slots=True)
class WakeLimit:
    """Mutable, owned by the price watch; one an account. What may not be looked at yet waits its turn."""

    waiting: set[LoanKey] = field(default_factory=set)
    _last: dict[LoanKey, int] = field(default_factory=dict)
    _full_at_ms: int = 0

    def ask(self, keys: Collection[LoanKey]) -> None:
        """Puts these loans among those that wait to be looked at."""
        self.waiting.update(keys)

    def looked(self) -> None:
        """All loans were read anew: nobody waits for it any more."""
        self.waiting.clear()

    def due(self, now_ms: int) -> frozenset[LoanKey]:
        """Those whose turn it is at `now_ms` (monotonic). They are given once."""
        if not self.waiting or self._full_at_ms - now_ms > (AT_ONCE - 1) * SPACING_MS:
            return frozenset()
        self._last = {key: ms for key, ms in self._last.items() if now_ms - ms < A_LOAN_MS}
        due = frozenset(key for key in self.waiting if key not in self._last)
        if due:
            self.waiting -= due
            self._last.update(dict.fromkeys(due, now_ms))
            self._full_at_ms = max(self._full_at_ms, now_ms) + SPACING_MS
        return due
