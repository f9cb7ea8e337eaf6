"""A fleet in virtual time: a database, workers whose clocks drift, messages that come late or never.

The database is the pure leases, one step at a time, as PostgreSQL runs its transactions. All times in ms.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from ltv_guard.core.decide.shares import moves
from ltv_guard.core.model.leases import FleetView, Lease, Tenure

LEASE_MS, LOOK_MS, GAP_MS = 15_000, 1_000, 15_000
FAIR_DELAY_MS = 300  # the longest that a message takes once the network is well


@dataclass(frozen=True)
class Mark:
    """An adjustment that the database let be marked sent."""

    at_ms: int
    tenure: Tenure


@dataclass
class SimulatedWorker:
    """`rate`: how fast its own clock runs; nothing of it but its pace depends on that."""

    name: str
    rate: float
    tenures: dict[str, Tenure] = field(default_factory=dict)
    is_dead: bool = False
    seen_ms: float | None = None  # when its last view was asked for, by its own clock


class LeaseWorld:
    """`accounts` of one egress, and the workers that come to it."""

    def __init__(self, random: Random, accounts: int) -> None:
        self.now_ms = 0
        self.random = random
        self.accounts = [f"a{number:02}" for number in range(accounts)]
        self.table = {name: Lease(account=name, egress="e") for name in self.accounts}
        self.alive_until: dict[str, int] = {}
        self.workers: dict[str, SimulatedWorker] = {}
        self.marks: list[Mark] = []
        self.changes = 0
        self.is_foul = True  # whether messages are lost and late
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    # Time.

    def at(self, at_ms: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (max(self.now_ms, int(at_ms)), next(self._numbers), do))

    def run(self, for_ms: int) -> None:
        end_ms = self.now_ms + for_ms
        while self._queue and self._queue[0][0] <= end_ms:
            self.now_ms, _, do = heapq.heappop(self._queue)
            do()
        self.now_ms = end_ms

    def message(self, arrives: Callable[[], None]) -> None:
        """To the database or from it: late, or lost."""
        if self.is_foul and self.random.random() < 0.15:
            return
        longest = 20_000 if self.is_foul and self.random.random() < 0.1 else FAIR_DELAY_MS
        self.at(self.now_ms + self.random.randrange(1, longest), arrives)

    # Workers.

    def join(self, name: str) -> SimulatedWorker:
        worker = self.workers[name] = SimulatedWorker(name, self.random.uniform(0.8, 1.25))
        self.at(self.now_ms, lambda: self._look(worker))
        return worker

    def _look(self, worker: SimulatedWorker) -> None:
        if worker.is_dead:
            return
        self.at(self.now_ms + LOOK_MS / worker.rate, lambda: self._look(worker))
        known, asked_ms = list(worker.tenures.values()), self.now_ms * worker.rate
        self.message(lambda: self._beat(worker, known, asked_ms))
        for tenure in known:
            if self.random.random() < 0.3:
                self.message(lambda tenure=tenure: self._mark(tenure))

    def _heard(self, worker: SimulatedWorker, view: FleetView, lost: list[Tenure], asked_ms: float) -> None:
        if worker.is_dead:
            return
        for tenure in lost:
            if worker.tenures.get(tenure.account) == tenure:
                del worker.tenures[tenure.account]
        rested = worker.seen_ms is not None and asked_ms - worker.seen_ms < GAP_MS
        worker.seen_ms = asked_ms
        found = moves(view, worker.name, self.accounts, may_take=rested)
        for account in found.give_back:
            if (tenure := worker.tenures.pop(account, None)) is not None:
                self.message(lambda tenure=tenure: self._give_back(tenure))
        for lease in found.take:
            self.message(lambda lease=lease: self._take(worker, lease))

    def _took(self, worker: SimulatedWorker, tenure: Tenure) -> None:
        if not worker.is_dead:
            worker.tenures[tenure.account] = tenure

    # The database.

    def _beat(self, worker: SimulatedWorker, known: list[Tenure], asked_ms: float) -> None:
        self.alive_until[worker.name] = self.now_ms + LEASE_MS
        lost = [
            item
            for item in known
            if not self._put(self.table[item.account].renewed(item, self.now_ms, LEASE_MS))
        ]
        alive = [name for name, until in self.alive_until.items() if until > self.now_ms]
        view = FleetView(now_ms=self.now_ms, leases=tuple(self.table.values()), workers=alive)
        self.message(lambda: self._heard(worker, view, lost, asked_ms))

    def _take(self, worker: SimulatedWorker, seen: Lease) -> None:
        before = self.table[seen.account]
        after = before.taken(worker.name, seen.epoch, self.now_ms, LEASE_MS)
        if self._put(after) and after is not None:
            assert after.epoch > before.epoch
            self.changes += 1
            tenure = Tenure(account=after.account, worker=worker.name, epoch=after.epoch)
            self.message(lambda: self._took(worker, tenure))

    def _give_back(self, tenure: Tenure) -> None:
        self._put(self.table[tenure.account].given_back(tenure))

    def _mark(self, tenure: Tenure) -> None:
        if self.table[tenure.account].allows_sending(tenure, self.now_ms):
            self.marks.append(Mark(self.now_ms, tenure))

    def _put(self, after: Lease | None) -> bool:
        if after is not None:
            self.table[after.account] = after
        return after is not None

    # What is true of it.

    def holders(self) -> dict[str, str]:
        """By account, the live worker that holds it, and knows it."""
        return {
            account: lease.worker
            for account, lease in self.table.items()
            if lease.worker is not None
            and not lease.is_free(self.now_ms)
            and (worker := self.workers[lease.worker]).tenures.get(account) is not None
            and lease.allows(worker.tenures[account])
            and not worker.is_dead
        }
