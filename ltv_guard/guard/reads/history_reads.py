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
from ltv_guard.core.ports import Clock


@dataclass(frozen=True, slots=True)
class _Reading:
    """A read under way, back to `since_ms`; or at its end, and not asked for again since."""

    since_ms: int
    task: asyncio.Task[bool]

    @property
    def went_well(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.result()


class HistoryReads:
    """`read` reads one history, back to an exchange time, into `kept`; False: it could not be had."""

    def __init__(
        self,
        read: Callable[[Channel, int], Awaitable[bool]],
        kept: Mapping[Channel, History],
        clock: Clock,
        *,
        wait_ms: int,
        longest_ms: int,
    ) -> None:
        self._read = read
        self._kept = kept
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
            if not self._will_do(channel, since_ms)
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
            else:  # the read that the last cycle did not wait for: old, and better than nothing
                reading = before.get(channel, reading)
            if reading.since_ms <= since_ms and reading.went_well:
                found[channel] = self._kept[channel]
        return found

    def under_way(self) -> list[Channel]:
        """The histories that are still being read."""
        return [channel for channel, reading in self._readings.items() if not reading.task.done()]

    async def close(self) -> None:
        """Nobody will ask any more."""
        tasks = [reading.task for reading in self._readings.values()]
        self._readings.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _will_do(self, channel: Channel, since_ms: int) -> bool:
        """Whether the last reading goes back far enough, and is under way or not old yet."""
        reading = self._readings.get(channel)
        if reading is None or reading.since_ms > since_ms:
            return False
        if not reading.task.done():
            return True
        if not reading.went_well:
            return False
        return self._clock.now().ms_since(self._kept[channel].began) <= self._longest_ms

    def _begin(self, channel: Channel, since_ms: int) -> _Reading:
        if (last := self._readings.get(channel)) is not None:
            last.task.cancel()  # it does not go back far enough (one that is done is not touched)
        reading = _Reading(since_ms, asyncio.create_task(self._reading(channel, since_ms)))
        self._readings[channel] = reading
        return reading

    async def _reading(self, channel: Channel, since_ms: int) -> bool:
        return await self._read(channel, since_ms)
