"""When to say something: once when it changes, again with growing pauses while it is grave. Logs only."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import structlog

FIRST_REPEAT_MS = 60_000
LONGEST_REPEAT_MS = 1_800_000

log = structlog.stdlib.get_logger()


class AlertRepeater:
    """Remembers what was said about each topic. `monotonic_ms` is the clock that repeats are timed by."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._now = monotonic_ms
        self._states: dict[Hashable, Hashable] = {}
        self._grave: dict[Hashable, tuple[Hashable, int, int]] = {}

    def changed(self, topic: Hashable, state: Hashable) -> bool:
        """Whether `state` differs from what was last told of `topic`; remembers it."""
        if topic in self._states and self._states[topic] == state:
            return False
        self._states[topic] = state
        return True

    def ended(self, topic: Hashable) -> bool:
        """Whether `topic` was being told of until now; forgets it."""
        self._grave.pop(topic, None)
        return self._states.pop(topic, None) is not None

    def once(self, topic: Hashable, level: str, event: str, **details: Any) -> None:  # noqa: ANN401
        """Logs `event` if it is news for `topic` (the same event with the same `why` is not)."""
        if self.changed(topic, (event, details.get("why"))):
            getattr(log, level)(event, **details)

    def grave(self, topic: Hashable, state: Hashable, event: str, **details: Any) -> None:  # noqa: ANN401
        """Logs a CRITICAL at once, when `state` changes, and again after 1, 2, 4 ... 30 minutes of it."""
        told, due, pause = self._grave.get(topic, (None, 0, 0))
        if told == state and self._now() < due:
            return
        pause = min(pause * 2, LONGEST_REPEAT_MS) if told == state else FIRST_REPEAT_MS
        self._grave[topic] = (state, self._now() + pause, pause)
        self._states[topic] = state
        log.critical(event, **details)
