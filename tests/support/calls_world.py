"""Workers behind one address in virtual time, which ask the exchange whenever they may. All times in ms.

Each look at the database may be slow at every step: the view, the transaction, its answer. Workers join,
leave, die, stand still, and lose the database while they go on asking.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

from ltv_guard.adapters.bybit import AddressBudget
from ltv_guard.core.decide.calls import LEAST_CALLS, most_calls
from ltv_guard.core.model.leases import FleetView, Worker
from ltv_guard.service.fleet.call_share import CallShare

LEASE_MS, LOOK_MS, COUNTS_MS = 15_000, 1_000, 5_000


class Asked:
    """What a worker waits for, until somebody answers."""

    def __init__(self, *what: Any) -> None:  # noqa: ANN401 - the arguments of `use`
        self.what = what

    def __await__(self) -> Generator[Asked, int, int]:
        return (yield self)


class Leases:
    """As `SqlLeases`, as far as a `CallShare` asks it."""

    async def use(self, worker: Worker, wanted: int, counted: int, limit: int) -> int:
        return await Asked(worker.name, wanted, counted, limit)


@dataclass
class Caller:
    name: str
    address: AddressBudget
    share: CallShare
    is_there: bool = True
    frozen_until: int = 0
    cut_off_until: int = 0
    seen: bool = False
    beaten_ms: int = -LEASE_MS


@dataclass
class CallsWorld:
    random: Random
    limit: int
    now_ms: int = 0
    table: dict[str, Worker] = field(default_factory=dict)
    callers: dict[str, Caller] = field(default_factory=dict)
    arrivals: list[int] = field(default_factory=list)
    by_caller: dict[str, list[int]] = field(default_factory=dict)
    queue: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)
    looks: list[Any] = field(default_factory=list)

    def close(self) -> None:
        """Ends the looks that are under way."""
        for look in self.looks:
            look.close()

    def at(self, at_ms: int, do: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (max(at_ms, self.now_ms), next(self.numbers), do))

    def run(self, for_ms: int) -> None:
        end_ms = self.now_ms + for_ms
        while self.queue and self.queue[0][0] <= end_ms:
            self.now_ms, _, do = heapq.heappop(self.queue)
            do()
        self.now_ms = end_ms

    # Workers.

    def join(self, name: str) -> None:
        address = AddressBudget(self.limit, monotonic=lambda: self.now_ms / 1000)
        leases: Any = Leases()
        share = CallShare(Worker(name=name, egress="e"), leases, lambda: address, lambda: self.limit)
        self.callers[name] = caller = Caller(name, address, share)
        share.begin()
        self._look(caller)
        self._ask(caller)

    def die(self, name: str) -> None:
        self.callers[name].is_there = False

    def leave(self, name: str) -> None:
        """In order: what is under way has ended."""
        caller = self.callers[name]
        caller.is_there = False
        gone = {"calls": caller.share.counted, "calls_until_ms": self.now_ms + COUNTS_MS}
        if name in self.table:
            self.table[name] = replace(self.table[name], expires_at_ms=0, **gone)

    def _later(self, caller: Caller, do: Callable[[], None]) -> None:
        """Up to half a second later, and not while it stands still; never once it is gone."""

        def then() -> None:
            if caller.frozen_until > self.now_ms:
                self.at(caller.frozen_until, then)
            elif caller.is_there:
                do()

        self.at(self.now_ms + self.random.randrange(1, 500), then)

    def _look(self, caller: Caller) -> None:
        def look() -> None:
            if self.now_ms < caller.cut_off_until:
                self._look(caller)
                return
            asked_ms, begins, caller.seen = self.now_ms, not caller.seen, True
            if self.now_ms - caller.beaten_ms > LEASE_MS / 3:
                caller.beaten_ms = self.now_ms
                self._beat(caller)
            view = FleetView(now_ms=self.now_ms, leases=(), workers=(), callers=self._known())
            agree = caller.share.agree(view, asked_ms / 1000, begins=begins)
            self.looks.append(agree)
            self._later(caller, lambda: self._go_on(caller, agree, None))

        self.at(self.now_ms + self.random.randrange(LOOK_MS), lambda: self._later(caller, look))

    def _go_on(self, caller: Caller, agree: Any, answer: int | None) -> None:  # noqa: ANN401 - a coroutine
        try:
            asked: Asked = agree.send(answer)
        except StopIteration:
            self._look(caller)
            return

        def decide() -> None:
            if self.random.random() < 0.2:  # the answer is lost, though it may have been written
                self._use(*asked.what)
                agree.close()
                self._look(caller)
                return
            written = self._use(*asked.what)
            self._later(caller, lambda: self._go_on(caller, agree, written))

        self._later(caller, decide)

    def _ask(self, caller: Caller) -> None:
        """As often as it may, at once."""

        def ask() -> None:
            while caller.address.enters_now():
                self.at(self.now_ms + self.random.randrange(200), lambda: self._arrive(caller))
            self._ask(caller)

        self._later(caller, ask)

    def _arrive(self, caller: Caller) -> None:
        self.arrivals.append(self.now_ms)
        self.by_caller.setdefault(caller.name, []).append(self.now_ms)
        caller.address.leave()

    # The database.

    def _known(self) -> Sequence[Worker]:
        return tuple(self.table.values())

    def _beat(self, caller: Caller) -> None:
        row = self.table.get(caller.name) or Worker(name=caller.name, egress="e")
        calls = row.calls if row.calls_until_ms > self.now_ms else min(row.calls, LEAST_CALLS)
        until_ms = self.now_ms + LEASE_MS
        self.table[caller.name] = replace(
            row, expires_at_ms=until_ms, calls=calls, calls_until_ms=until_ms + COUNTS_MS
        )

    def _use(self, name: str, wanted: int, counted: int, limit: int) -> int:
        row = self.table[name]
        if not row.is_alive(self.now_ms):
            return 0
        calls = max(counted, min(wanted, most_calls(self._known(), name, limit, self.now_ms)))
        self.table[name] = replace(row, calls=calls, calls_until_ms=row.expires_at_ms + COUNTS_MS)
        return calls

    # What is true of it.

    def most(self, since_ms: int = 0) -> int:
        """The most requests that arrived in any 5 s."""
        return _most_in(sorted(item for item in self.arrivals if item >= since_ms))

    def most_of(self, name: str, since_ms: int) -> int:
        return _most_in([item for item in self.by_caller.get(name, []) if item >= since_ms])


def _most_in(times: Sequence[int]) -> int:
    most, first = 0, 0
    for number, time_ms in enumerate(times):
        while times[first] <= time_ms - COUNTS_MS:
            first += 1
        most = max(most, number - first + 1)
    return most
