"""What the cycles of a daemon came to last, and whether that is well enough. Keeps references, no copies."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.status import Health, Span
from ltv_guard.core.model.withheld import Why
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.service.reactions import Reactions
from ltv_guard.service.spans import Spans

NEEDS_HUMAN = "it needs a human: nothing can be sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An account's last cycle. Times are seconds of this machine's monotonic clock.

    `good_at`: when its loans were last read; None: not yet. `wallet`: the last that a cycle has read.
    """

    result: CycleResult
    at: float
    good_at: float | None
    wallet: Mapping[str, Decimal] | None = None


class Latest:
    """By account. `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.reactions = Reactions()
        self._monotonic = monotonic
        self._began = monotonic()
        self._since: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}
        self._took: dict[str, Spans] = {}

    def begin(self, name: str) -> None:
        """An account that is guarded from now on: what was seen of it before does not count."""
        self._seen.pop(name, None)
        self._since[name] = self._monotonic()

    def hear(self, name: str, result: CycleResult, took_s: float = 0.0) -> None:
        """What a cycle of the account came to, and how many seconds it took."""
        self._took.setdefault(name, Spans()).add(took_s)
        before, now = self._seen.get(name), self._monotonic()
        good_at = now if not result.blind else before.good_at if before is not None else None
        wallet = result.wallet
        if wallet is None and before is not None:
            wallet = before.wallet
        self._seen[name] = Seen(result=result, at=now, good_at=good_at, wallet=wallet)

    def of(self, name: str) -> Seen | None:
        """What the last cycle of an account came to; None: there was none yet."""
        return self._seen.get(name)

    def took(self, name: str) -> Span:
        """How long its cycles took."""
        return self._took.get(name, Spans()).shown

    def silent_s(self, name: str) -> float:
        """Seconds since the account's loans were last read, or since the start."""
        seen = self._seen.get(name)
        good_at = seen.good_at if seen is not None else None
        began = self._since.get(name, self._began)
        return self._monotonic() - (began if good_at is None else good_at)

    def health(self, names: Collection[str], *, within_s: float, journal_is_sound: bool) -> Health:
        """Who is not well, and why. `within_s`: how long ago the loans of an account may have been read."""
        troubles = {name: why for name in names if (why := self._trouble(name, within_s)) is not None}
        if not journal_is_sound:
            troubles["journal"] = "it can't be used: nothing can be sent"
        unseen = [name for name in names if name not in self._seen and name not in troubles]
        return Health(troubles=troubles, unseen=unseen)

    def _trouble(self, name: str, within_s: float) -> str | None:
        seen, silent_s = self._seen.get(name), self.silent_s(name)
        if silent_s > within_s:
            return f"its loans were not read for {silent_s:.0f} s"
        withheld = seen.result.withheld if seen is not None else None
        return NEEDS_HUMAN if withheld is not None and withheld.kind is Why.NEEDS_HUMAN else None
