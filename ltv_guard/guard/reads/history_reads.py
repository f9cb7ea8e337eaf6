"""Histories are read beside the cycles that ask for them: no cycle waits long for one. Sends nothing.

A list that is long, slow or without end delays cycles until `wait_ms` after it was begun, and no longer.
What a cycle did not wait for is handed to the next; how old it is, `History.began` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from ltv_guard.core.model.history import History
from ltv_guard.core.model.loans import Channel, Moment
from ltv_guard.core.ports import Clock

AT_ONCE_MS = 500  # so long after it began, what nobody has taken yet serves who reads anew
AT_REST_MS = 900  # the same of any, once the journal is trusted: two reads a second leave a crossing none
AT_HAND_MS = 200  # what was read ahead is not read anew for a crossing so soon after: it has to serve it


@dataclass(slots=True)
class _Reading:
    """A read of one history, back to `since_ms`: under way, or done."""

    since_ms: int
    began: Moment
    task: asyncio.Task[bool]
    was_handed_out: bool = False

    @property
    def went_well(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.result()


class HistoryReads:
    """`read` reads one history, back to an exchange time, into `kept`; False: it could not be had.

    `nothing_sent_since`: a moment. What was handed out before something was sent is of no use after it.
    `trusted`: whether the journal is. Until then a history of now is waited for.
    """

    def __init__(
        self,
        read: Callable[[Channel, int], Awaitable[bool]],
        kept: Mapping[Channel, History],
        clock: Clock,
        *,
        wait_ms: int,
        longest_ms: int,
        nothing_sent_since: Callable[[Moment], bool],
    ) -> None:
        self._read = read
        self._nothing_sent_since = nothing_sent_since
        self.trusted: Callable[[], bool] = lambda: False
        self._kept = kept
        self._clock = clock
        self._wait_ms = wait_ms
        self._longest_ms = longest_ms
        self._readings: dict[Channel, _Reading] = {}

    async def ask(
        self, asked: Mapping[Channel, int], *, beside: Moment | None = None, anew: bool = False
    ) -> dict[Channel, History]:
        """What is to be had now of the channels `asked` for, each back to an exchange time (ms).

        `beside`: what was asked for right before that moment, or since, serves others too, however long its
        answers take. `anew`: one that was begun longer ago than that, and that nobody took, does not.
        """
        before = {
            key: item for key, item in self._readings.items() if key in asked and not item.was_handed_out
        }
        latest_ms = AT_ONCE_MS if anew else self._longest_ms
        needed_ms = (beside or self._clock.now()).monotonic_ms + (AT_HAND_MS if anew else 0)
        readings = {
            channel: self._reading_for(channel, since_ms, needed_ms, latest_ms)
            for channel, since_ms in asked.items()
        }
        await self._wait_for(readings.values())
        found: dict[Channel, History] = {}
        for channel, now in readings.items():
            # Not there: the read that the last cycle did not wait for is old, and better than nothing.
            reading = now if now.task.done() else before.get(channel, now)
            now.was_handed_out = now.task.done()
            if reading.since_ms <= asked[channel] and reading.went_well:
                found[channel] = self._kept[channel]
        return found

    def _reading_for(self, channel: Channel, since_ms: int, needed_ms: int, longest_ms: int) -> _Reading:
        if self._will_do(channel, since_ms, needed_ms, longest_ms):
            return self._readings[channel]
        return self._begin(channel, since_ms)

    async def _wait_for(self, readings: Collection[_Reading]) -> None:
        """Those that were begun lately, by whomever, for the rest of their time."""
        now = self._clock.now()
        left_ms = {reading.task: self._wait_ms - now.ms_since(reading.began) for reading in readings}
        if waiting := [task for task, ms in left_ms.items() if ms > 0 and not task.done()]:
            await asyncio.wait(waiting, timeout=max(left_ms[task] for task in waiting) / 1000)

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

    def _will_do(self, channel: Channel, since_ms: int, needed_ms: int, longest_ms: int) -> bool:
        """Whether the last reading goes back far enough, and is under way or not old yet."""
        reading = self._readings.get(channel)
        if reading is None or reading.since_ms > since_ms:
            return False
        if not reading.task.done():
            return True
        if not reading.went_well:
            return False
        if not reading.was_handed_out and self._clock.now().ms_since(reading.began) <= longest_ms:
            return True
        serves_ms = AT_REST_MS if self.trusted() else AT_ONCE_MS
        is_new = needed_ms - reading.began.monotonic_ms <= serves_ms
        return is_new and self._nothing_sent_since(reading.began)

    def _begin(self, channel: Channel, since_ms: int) -> _Reading:
        if (last := self._readings.get(channel)) is not None:
            last.task.cancel()  # it does not go back far enough (one that is done is not touched)
        reading = _Reading(since_ms, self._clock.now(), asyncio.create_task(self._reading(channel, since_ms)))
        self._readings[channel] = reading
        return reading

    async def _reading(self, channel: Channel, since_ms: int) -> bool:
        return await self._read(channel, since_ms)
