"""When to say something: once when it changes, again with growing pauses while it is grave. Logs only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

FIRST_REPEAT_MS = 60_000
LONGEST_REPEAT_MS = 1_800_000
HOUR_MS = 3_600_000
SHOWN_MS = 24 * HOUR_MS  # what has happened and is grave is shown for so long, unless a person takes note
MOST_SHOWN = 100

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A grave event that lasts: its name, since when (ms, by the repeater's clock), and what it carried.

    `has_happened`: it was over at once, and is shown until a person takes note, for a day at most.
    """

    event: str
    since_ms: int
    details: Mapping[str, Any]
    has_happened: bool = False


@dataclass(slots=True, kw_only=True)
class _Grave:
    state: Hashable
    due_ms: int
    pause_ms: int
    seen_ms: int
    alert: Alert


class AlertRepeater:
    """Remembers what was said about each topic. `monotonic_ms` is the clock that repeats are timed by."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._now = monotonic_ms
        self._states: dict[Hashable, Hashable] = {}
        self._grave: dict[Hashable, _Grave] = {}
        self._told_ms: dict[Hashable, int] = {}
        self._happened: deque[Alert] = deque(maxlen=MOST_SHOWN)
        self.wider: AlertRepeater | None = None  # of the whole, where this one is of a part

    def changed(self, topic: Hashable, state: Hashable) -> bool:
        """Whether `state` differs from what was last told of `topic`; remembers it."""
        if self.has_told(topic, state):
            return False
        self._states[topic] = state
        return True

    def has_told(self, topic: Hashable, state: Hashable) -> bool:
        """Whether `state` is what was last told of `topic`. Remembers nothing."""
        return topic in self._states and self._states[topic] == state

    def tells_of(self, topic: Hashable) -> bool:
        """Whether `topic` is being told of."""
        return topic in self._states

    def ended(self, topic: Hashable) -> bool:
        """Whether `topic` was being told of until now; forgets it."""
        if topic not in self._states:  # as of most loans, each cycle: nothing else is kept of it then
            return False
        self._grave.pop(topic, None)
        self._told_ms.pop(topic, None)
        del self._states[topic]
        return True

    def once(self, topic: Hashable, level: str, event: str, **details: Any) -> None:  # noqa: ANN401
        """Logs `event` if it is news for `topic` (the same event with the same `why` is not)."""
        if self.changed(topic, (event, details.get("why"))):
            getattr(log, level)(event, **details)

    def hourly(self, topic: Hashable, level: str, event: str, **details: Any) -> None:  # noqa: ANN401
        """The same, and again after each hour of it."""
        state, now = (event, details.get("why")), self._now()
        if self.changed(topic, state) or now - self._told_ms.get(topic, now) >= HOUR_MS:
            self._told_ms[topic] = now
            getattr(log, level)(event, **details)

    def lasts(self, topic: Hashable, event: str) -> bool:
        """Whether `topic` is told of as that grave event."""
        told = self._grave.get(topic)
        return told is not None and told.alert.event == event

    def is_due(self, topic: Hashable, state: Hashable) -> bool:
        """Whether `grave` would log it now: for details that cost something."""
        before = self._grave.get(topic)
        return before is None or before.state != state or self._now() >= before.due_ms

    def grave(self, topic: Hashable, state: Hashable, event: str, **details: Any) -> None:  # noqa: ANN401
        """Logs a CRITICAL at once, when `state` changes, and again after 1, 2, 4 ... 30 minutes of it."""
        now, before = self._now(), self._grave.get(topic)
        told = before is not None and before.state == state
        if before is not None:
            before.seen_ms = now
        if before is not None and told and now < before.due_ms:
            return
        pause = (
            min(before.pause_ms * 2, LONGEST_REPEAT_MS) if before is not None and told else FIRST_REPEAT_MS
        )
        self._grave[topic] = _Grave(
            state=state,
            due_ms=now + pause,
            pause_ms=pause,
            seen_ms=now,
            alert=Alert(
                event=event,
                since_ms=before.alert.since_ms if before is not None else now,
                details={**structlog.contextvars.get_contextvars(), **details},
            ),
        )
        self._states[topic] = state
        log.critical(event, **details)

    def happened(self, event: str, **details: Any) -> None:  # noqa: ANN401
        """Goes on to show a CRITICAL, which was logged, of what is over already, such as a liquidation."""
        all_of_it = {**structlog.contextvars.get_contextvars(), **details}
        self._happened.append(Alert(event=event, since_ms=self._now(), details=all_of_it, has_happened=True))

    def shows_too(self, before: AlertRepeater) -> None:
        """What had happened before it took over."""
        self._happened = before._happened

    def noted(self, is_noted: Callable[[Alert], bool]) -> list[Alert]:
        """A person has taken note of these: returns them, and shows them no longer."""
        found = [item for item in self._happened if is_noted(item)]
        for item in found:
            self._happened.remove(item)
        return found

    def lasting(self, within_ms: int) -> list[tuple[Alert, int]]:
        """What is grave and was found so within the last `within_ms`, and for how many ms it has been.

        What has happened and nobody has taken note of is among it.
        """
        now = self._now()
        found = [item.alert for item in self._grave.values() if now - item.seen_ms <= within_ms]
        found += [item for item in self._happened if now - item.since_ms <= SHOWN_MS]
        return [(alert, now - alert.since_ms) for alert in found]

    def events(self, within_ms: int) -> list[str]:
        """The names of what lasts, here and in the whole that this is a part of."""
        wider = self.wider.events(within_ms) if self.wider is not None else []
        return sorted({*wider, *(alert.event for alert, _ in self.lasting(within_ms))})
