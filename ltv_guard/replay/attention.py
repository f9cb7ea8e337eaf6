"""When somebody looks at the loans: a guard always, a loop each minute, a person after an alert."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from ltv_guard.replay.stress import NEVER


class AlertLine(StrEnum):
    """What a person hears of: a loan that is shown at or above this line."""

    TRIGGER = "trigger"
    MARGIN_CALL = "margin call"


IsAt = Callable[[AlertLine], bool]


class Attention:
    """Always, but for a ban; every `each_ms` since 1970, where that is said."""

    def __init__(self, ban: tuple[int, int] | None = None, each_ms: int = 1) -> None:
        self._ban = ban
        self._each_ms = each_ms

    def looks_at(self, now_ms: int, is_at: IsAt) -> int:  # noqa: ARG002 - a person asks
        """`now_ms` where it looks now; else when it does next (ms). `is_at`: whether a loan is at a line."""
        if self._ban is not None and self._ban[0] <= now_ms < self._ban[1]:
            now_ms = self._ban[1]
        return -(-now_ms // self._each_ms) * self._each_ms

    def looked(self, now_ms: int, is_at: IsAt, *, is_busy: bool) -> bool:  # noqa: ARG002 - the same
        """Called after each look. Whether it turns away now: nobody does while something is under way."""
        return False


class Alerted(Attention):
    """A person, who comes `after_ms` after an alert, does what there is to do, and goes."""

    def __init__(self, alarm: AlertLine, after_ms: int) -> None:
        super().__init__()
        self._alarm = alarm
        self._after_ms = after_ms
        self._comes_ms: int | None = None

    def looks_at(self, now_ms: int, is_at: IsAt) -> int:
        if self._comes_ms is None and is_at(self._alarm):
            self._comes_ms = now_ms + self._after_ms
        return NEVER if self._comes_ms is None else max(now_ms, self._comes_ms)

    def looked(self, now_ms: int, is_at: IsAt, *, is_busy: bool) -> bool:
        if is_busy:
            return False
        self._comes_ms = now_ms + self._after_ms if is_at(self._alarm) else None
        return True
