"""Whose cycle begins when more accounts want one than the process has CPU for: the most endangered first.

How long a turn of the event loop takes tells how much is ready to run. Where turns are short nothing waits
for CPU, however many cycles wait for a slow exchange, and whoever is in line begins, one a turn. Where they
are long, whatever else began would only make those under way later: a few are under way then, and each that
ends makes room for the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile

import structlog

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater

AT_ONCE = 8  # so many of these cycles are under way before anybody waits: a few accounts never do
LATE_S = 0.005  # a turn of the loop that took longer: more is ready than there is CPU for
LOOK_S = 0.002  # how soon it is looked at again then
LONGEST_S = 15.0  # who has waited so long begins whatever the loop does, ...
OVERDUE_S = 0.5  # ... one in this time: more than it has CPU for would be late all together
TOLD_S = 5.0  # who has waited so long is told of
TOPIC = "cpu"
LASTS_S = 60.0  # at least so long after it was told, for a line comes and goes
RANKED_S = 0.25  # how often the line is put in order by prices of now

log = structlog.stdlib.get_logger()


@dataclass(slots=True)
class _Waiting:
    """`turn`: how many looks in vain it had since there was a line; `gap`: as of the last ordering."""

    since_s: float
    turn: int
    gap: Decimal
    keys: set[LoanKey] = field(default_factory=set)


class Admission:
    """`begin` has an account looked at, first of all the loans that prices put at their triggers.

    It returns the cycle, if there is one. `gap` is the part by which prices may fall before an account needs
    help, below 0 beyond. Who had a look in vain comes after those in line who had none: no account that can't
    be helped keeps others from theirs.
    """

    def __init__(
        self,
        begin: Callable[[str, Collection[LoanKey]], asyncio.Task[None] | None],
        gap: Callable[[str], Decimal],
        alerts: AlertRepeater,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        """`later` calls after so many seconds; 0: in the next turn of the loop."""
        self._begin_cycle = begin
        self._gap = gap
        self._alerts = alerts
        self._defects = Defects(alerts)
        self._monotonic = monotonic
        self._later = later or _later
        self._under_way: set[asyncio.Task[None]] = set()
        self._line: dict[str, _Waiting] = {}  # who has waited longest first
        self._turns: dict[str, int] = {}
        self._turn = 0
        self._ranked_s = self._overdue_s = 0.0
        self._begun = 0
        self._told_s = 0.0
        self._due_s: float | None = None  # when the next look at the loop is to come; None: none is

    def ask(self, name: str, keys: Collection[LoanKey] = ()) -> None:
        """The account wants to be looked at: now, or in its place in line. Who is in line stays there."""
        with self._defects.contained("lining up who wants to be looked at"):
            if (waiting := self._line.get(name)) is not None:
                waiting.keys.update(keys)
                return
            if self._line or not self._has_room():
                turn = max(self._turn, self._turns.get(name, 0))
                self._line[name] = _Waiting(self._monotonic(), turn, self._gap(name), set(keys))
                self._look_after(0)
                return
            self._tell()
        self._begin(name, keys)

    def helped(self, name: str) -> None:
        """What was sent for it may be the first step of several: its look was not in vain."""
        self._turns.pop(name, None)

    def leave(self, name: str) -> Collection[LoanKey]:
        """It waits no more, if it did; returns the loans that it was to be looked at for."""
        waiting = self._line.pop(name, None)
        return () if waiting is None else waiting.keys

    @property
    def names(self) -> Collection[str]:
        """Who is in line, the longest first."""
        return self._line.keys()

    def progress(self, name: str) -> int:
        """Differs from the last time, for one in line, where somebody has begun since: the line moves."""
        return self._begun if name in self._line else 0

    def _begin(self, name: str, keys: Collection[LoanKey]) -> None:
        if (cycle := self._begin_cycle(name, keys)) is not None:
            self._under_way.add(cycle)
            cycle.add_done_callback(self._under_way.discard)

    def _has_room(self) -> bool:
        return len(self._under_way) < AT_ONCE

    def _look_after(self, seconds: float) -> None:
        if self._due_s is None:
            due_s = self._monotonic() + seconds
            self._later(seconds, self._look)
            self._due_s = due_s

    def _look(self) -> None:
        late_s, self._due_s = self._monotonic() - (self._due_s or 0), None
        keeps_up = late_s <= LATE_S
        self._admit(keeps_up=keeps_up)
        with self._defects.contained("telling who waits to be looked at"):
            self._tell()
        if self._line:
            self._look_after(0 if keeps_up else LOOK_S)

    def _admit(self, *, keeps_up: bool) -> None:
        """Who begins now. After an error of ours all do, as if there were no line."""
        with self._defects.contained("admitting who is looked at"):
            while self._line and self._has_room():
                self._admit_one(self._most_endangered(self._line))
            if keeps_up and self._line:
                self._admit_one(self._most_endangered(self._line))
            elif overdue := self._overdue():
                self._overdue_s = self._monotonic()
                self._admit_one(self._most_endangered(overdue))
            return
        line, self._line = self._line, {}
        for name, waiting in line.items():
            self._begin(name, waiting.keys)

    def _tell(self) -> None:
        now = self._monotonic()
        if not self._line:
            if now - self._told_s > LASTS_S and self._alerts.ended(TOPIC):
                log.info("cpu_suffices")
            return
        waited_s = now - next(iter(self._line.values())).since_s
        if waited_s > TOLD_S and self._alerts.changed(TOPIC, "short"):
            self._told_s = now
            log.warning("too_little_cpu", waiting=len(self._line), seconds=round(waited_s))

    def _overdue(self) -> Collection[str]:
        now = self._monotonic()
        if now - self._overdue_s < OVERDUE_S:
            return ()
        return [*takewhile(lambda name: now - self._line[name].since_s > LONGEST_S, self._line)]

    def _most_endangered(self, names: Collection[str]) -> str:
        self._rank()
        return min(names, key=lambda name: (self._line[name].turn, self._line[name].gap))

    def _admit_one(self, name: str) -> None:
        waiting = self._line.pop(name)
        self._begun += 1
        self._turn = max(self._turn, waiting.turn)
        self._turns[name] = waiting.turn + 1
        if not self._line:
            self._turn = 0
            self._turns.clear()
        self._begin(name, waiting.keys)

    def _rank(self) -> None:
        if self._monotonic() - self._ranked_s >= RANKED_S:
            self._ranked_s = self._monotonic()
            for name, waiting in self._line.items():
                waiting.gap = self._gap(name)


def _later(seconds: float, do: Callable[[], None]) -> object:
    loop = asyncio.get_running_loop()
    return loop.call_later(seconds, do) if seconds else loop.call_soon(do)
