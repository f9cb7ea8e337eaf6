"""When each account is looked at next: each at a pace of its own, by the loop's clock, which nobody sets.

A job of the scheduler's for each of a thousand accounts costs more than the looks that it starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.service.rounds import until_next_s

START_APART_S = 0.02  # accounts begin one after the other, so that their requests do not come all at once


@dataclass(slots=True)
class _Pace:
    seconds: float
    timer: asyncio.TimerHandle


class Paces:
    """By account. `due` hears of each whose time has come."""

    def __init__(self, due: Callable[[str], None]) -> None:
        self._due = due
        self._held: dict[str, _Pace] = {}

    def begin(self, name: str, seconds: float, *, after_s: float) -> None:
        """One more, for the first time after `after_s`; or another pace, from then on."""
        self.drop([name])
        at = asyncio.get_running_loop().time() + after_s
        self._held[name] = _Pace(seconds, self._at(at, name))

    def change(self, name: str, seconds: float, *, after_s: float) -> None:
        """Another pace, from `after_s` on, for one that is there."""
        if name in self._held:
            self.begin(name, seconds, after_s=after_s)

    def drop(self, names: Collection[str]) -> None:
        """They are looked at no more."""
        for name in names:
            if (pace := self._held.pop(name, None)) is not None:
                pace.timer.cancel()

    def all_now(self) -> None:
        """Each is due now, as after this machine was suspended."""
        for name, pace in list(self._held.items()):
            self.begin(name, pace.seconds, after_s=0)

    def _at(self, at: float, name: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_at(at, self._fire, name, at)

    def _fire(self, name: str, at: float) -> None:
        """What was missed is skipped."""
        pace, now = self._held[name], asyncio.get_running_loop().time()
        after = at + pace.seconds
        pace.timer = self._at(after if after > now else now + pace.seconds, name)
        self._due(name)


class SettleRounds:
    """Accounts whose last cycle says that looking again soon is worth while. `start` begins a cycle."""

    def __init__(self, results: Mapping[str, CycleResult], start: Callable[[str], None]) -> None:
        self._results = results
        self._start = start
        self._seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> None:
        """A round each so many seconds from now on, with the other looks; in place of those before."""
        self.end()
        self._seconds = seconds
        self._timer = asyncio.get_running_loop().call_later(until_next_s(seconds), self._round)

    def end(self) -> None:
        """There are no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _round(self) -> None:
        self.begin(self._seconds)
        for number, name in enumerate(name for name, result in self._results.items() if result.busy):
            apart_s = number * START_APART_S % self._seconds
            asyncio.get_running_loop().call_later(apart_s, self._look_again, name)

    def _look_again(self, name: str) -> None:
        """Unless it was looked at, or let go, meanwhile."""
        if (result := self._results.get(name)) is not None and result.busy:
            self._start(name)
