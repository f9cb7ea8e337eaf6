"""From a breach to the wire: how long it took, seen from outside the cycles, which do nothing for it."""

from __future__ import annotations

from collections.abc import Iterable

from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey
from ltv_guard.core.model.status import Span
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.service.spans import Spans

HELPS = frozenset({Direction.ADD, Direction.REPAY})
MS = 1000


class Reactions:
    """By account. Counted once a breach: from the begin of the cycle that found it to the first help signed.

    All times are the exchange's, ms. What is signed leaves within milliseconds.
    """

    def __init__(self) -> None:
        self._found: dict[str, dict[LoanKey, int | None]] = {}  # None: helped
        self._took: dict[str, Spans] = {}

    def hear(self, name: str, result: CycleResult, intents: Iterable[Intent], began_ms: int) -> None:
        """What a cycle that began then came to; `intents` are those that are remembered."""
        before = self._found.get(name, {})
        breaches = {item.loan.key for item in result.decisions if item.breach}
        found = {key: before.get(key, began_ms) for key in breaches}
        if result.blind:
            found = before | found
        if result.actions:
            for item in sorted(intents, key=lambda one: one.signed_at_ms or 0):
                self._count(name, found, item)
        self._found[name] = found

    def took(self, name: str) -> Span:
        """How long its breaches took, each once."""
        return self._took.get(name, Spans()).shown

    def _count(self, name: str, found: dict[LoanKey, int | None], item: Intent) -> None:
        since_ms, left_ms = found.get(item.key), item.signed_at_ms
        if since_ms is None or left_ms is None or left_ms < since_ms or not _has_helped(item):
            return
        self._took.setdefault(name, Spans()).add((left_ms - since_ms) / MS)
        found[item.key] = None


def _has_helped(item: Intent) -> bool:
    """Whether it is a help that has left, or may have."""
    return item.direction in HELPS and item.state is not State.WITHDRAWN
