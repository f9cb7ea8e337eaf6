"""What the log has said since the last look, as far as anybody is to hear of it. From any thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from ltv_guard.core.model.notices import LEVELS

MOST = 2000  # of each level: much of what is told in passing pushes out nothing graver
OWN = "notices_"  # the desk's own events are not sent

Event = Mapping[str, Any]


class Heard:
    """Hears each line of the log, and keeps a reference to those that some target wants."""

    def __init__(self) -> None:
        self._numbers = count()
        self._of: dict[str, deque[tuple[int, Event]]] = {level: deque(maxlen=MOST) for level in LEVELS}
        self._wanted = self._of

    def hear(self, event: Event) -> None:
        """Keeps it, if anybody hears of its level."""
        kept = self._wanted.get(event.get("level", ""))
        if kept is not None and not str(event["event"]).startswith(OWN):
            kept.append((next(self._numbers), event))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was kept since the last look."""
        return not any(self._of.values())

    def only_from(self, least: Iterable[str]) -> None:
        """From now on what reaches one of these levels is kept."""
        first = min(map(LEVELS.index, least), default=len(LEVELS))
        self._wanted = {level: self._of[level] for level in LEVELS[first:]}

    def taken(self) -> list[Event]:
        """All of it, in the order in which it was said; it is kept no longer."""
        kept = [said.popleft() for said in self._of.values() for _ in range(len(said))]
        return [event for _, event in sorted(kept, key=lambda item: item[0])]
