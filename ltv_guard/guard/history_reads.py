"""Histories are read beside the cycles that ask for them: no cycle waits long for one. Sends nothing.

A list that is long, slow or without end delays the cycle that begins to read it by `wait_ms`, and no other.
What a cycle did not wait for is handed to the next; how old it is, `History.began` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ltv_guard.core.model.history import History
from ltv_guard.core.model.loans import Channel
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.ports import Clock
from ltv_guard.guard.state.intent_book import DAY_MS

SLACK_MS = DAY_MS // 12


def horizon_ms(rulebook: Rulebook) -> int:
    """How far back the history matters: a day, or as long as an add by hand keeps a release waiting."""
    policies = [rulebook.default, *(policy for _, policy in rulebook.overrides)]
    return max(DAY_MS, *(policy.reduce.after_foreign_add_ms for policy in policies)) + SLACK_MS


@dataclass(frozen=True, slots=True)
class _Reading:
    """A read under way, back to `since_ms`; or at its end, and not asked for again since."""

    since_ms: int
    task: asyncio.Task[History | None]

    @property
    def history(self) -> History | None:
        return self.task.result() if self.task.done() and not self.task.cancelled() else None


class HistoryReads:
    """`read` reads one history, back to an exchange time; None: it could not be had, which was said."""

    def __init__(
        self,
        read: Callable[[Channel, int], Awaitable[History | None]],
        clock: Clock,
        *,
        wait_ms: int,
        longest_ms: int,
    ) -> None:
        self._read = read
        self._clock = clock
        self._wait_ms = wait_ms
        self._longest_ms = longest_ms
        self._readings: dict[Channel, _Reading] = {}

    async def ask(self, asked: Mapping[Channel, int]) -> dict[Channel, History]:
        """What is to be had now of the channels `asked` for, each back to an exchange time (ms)."""
        before = {channel: self._readings[channel] for channel in asked if channel in self._readings}
        begun = [
            self._begin(channel, since_ms)
            for channel, since_ms in asked.items()
            if not self._will_do(before.get(channel), since_ms)
        ]
        if begun:
            await asyncio.wait([reading.task for reading in begun], timeout=self._wait_ms / 1000)
        found: dict[Channel, History] = {}
        for channel, since_ms in asked.items():
            reading = self._readings.get(channel)
            if reading is None:  # closed meanwhile
                continue
            if reading.task.done():
                del self._readings[channel]
            else:  # what the cycle before did not wait for is old, and better than nothing
                reading = before.get(channel, reading)
            if reading.since_ms <= since_ms and (history := reading.history) is not None:
                found[channel] = history
        return found

    def under_way(self) -> list[Channel]:
        return [channel for channel, reading in self._readings.items() if not reading.task.done()]

    async def close(self) -> None:
        """Nobody will ask any more."""
        tasks = [reading.task for reading in self._readings.values()]
        self._readings.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _will_do(self, reading: _Reading | None, since_ms: int) -> bool:
        """Whether it goes back far enough, and is under way or not old yet."""
        if reading is None or reading.since_ms > since_ms:
            return False
        if not reading.task.done():
            return True
        history = reading.history
        return history is not None and self._clock.now().ms_since(history.began) <= self._longest_ms

    def _begin(self, channel: Channel, since_ms: int) -> _Reading:
        if (last := self._readings.get(channel)) is not None:
            last.task.cancel()  # it does not go back far enough; one that is done does not mind
        reading = _Reading(since_ms, asyncio.create_task(self._reading(channel, since_ms)))
        self._readings[channel] = reading
        return reading

    async def _reading(self, channel: Channel, since_ms: int) -> History | None:
        return await self._read(channel, since_ms)
