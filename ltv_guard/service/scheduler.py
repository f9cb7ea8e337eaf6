"""The daemon: paces and prices start cycles, signals end them. An account that fails leaves the others be."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

import structlog

from ltv_guard.core.model.errors import LeaseLost
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.admission import Admission
from ltv_guard.service.armed import Armed
from ltv_guard.service.chores import Chores
from ltv_guard.service.duties import Duties
from ltv_guard.service.endings import ended
from ltv_guard.service.failures import Failures
from ltv_guard.service.jobs import JUMP_LOOK_S, Jobs
from ltv_guard.service.paces import START_APART_S, Paces, SettleRounds
from ltv_guard.service.price_watch import PriceWatch

CLOCK_LOOK_S = 300.0  # how often the offset to the exchange's clock is measured
CLOCK, PRICES = "clock", "prices"
MOST_NAMED = 10
IDLE_S = 1.0  # how long what is no longer used may take to close
LONGEST_CYCLE_S = 60.0  # so long a cycle under way may go on after a reload

log = structlog.stdlib.get_logger()


class Daemon:
    """Runs the cycles of its guards until it is told to stop. Its duties may change while it runs."""

    def __init__(self, duties: Duties) -> None:
        # Is told what each account's cycle came to, and how many seconds it took.
        self.hear: Callable[[str, CycleResult, float], None] = lambda _name, _result, _seconds: None
        # Is told of an account for which a write was refused: its lease is not ours any more.
        self.lost: Callable[[str], None] = lambda _name: None
        self.ended_in_order = True  # whether all that was under way at the end ended by itself
        self.cycles_ended: Counter[str] = Counter()  # by account, however they ended
        self._duties = duties
        self._running: dict[str, asyncio.Task[None]] = {}
        self._chores: dict[str, asyncio.Task[None]] = {}
        self._results: dict[str, CycleResult] = {}
        self.alerts = self._alerts = AlertRepeater(lambda: int(time.monotonic() * 1000))
        self.failures = self._failures = Failures(self._alerts)
        self._looks = Chores(self._alerts)
        self._again: set[str] = set()
        self._ending = False
        self._jobs = Jobs()
        self._paces = Paces(self._start)
        self._settling = SettleRounds(self._results, self._start)
        self._armed = Armed(self._repace, lambda: self._duties)
        self._watch = PriceWatch(self._wake, self._armed, self._alerts)
        self.line = Admission(self._begin_cycle, self._watch.gap, self._alerts)

    @property
    def journal_is_sound(self) -> bool:
        """Whether nobody is without the journal now."""
        return self._failures.journal_is_sound

    @property
    def is_calm(self) -> bool:
        """Whether no account is near a trigger, and none has anything under way."""
        return not len(self._armed) and not any(item.busy for item in self._results.values())

    async def run(self, stop: asyncio.Event) -> bool:
        """Until `stop` is set. Returns whether the journal was sound at the end."""
        self._watch.use(self._duties.stream, self._duties.guards)
        self._begin(self._duties.guards)
        self._jobs.every(CLOCK_LOOK_S, self._apart, CLOCK, self._look_at_clock)
        self._jobs.every(JUMP_LOOK_S, self._apart, "heartbeat", self._beat)
        self._jobs.every(JUMP_LOOK_S, self._apart, PRICES, self._watch.run)
        self._settling.begin(self._duties.settle_s)
        self._jobs.start()
        jumps = asyncio.create_task(self._jobs.notice_jumps(self._paces.all_now))
        sound = True
        try:
            await stop.wait()
            # A last cycle that a stop kept from writing tells nothing of the journal.
            sound = self._failures.journal_is_sound
        finally:
            self._ending = True
            self._jobs.end()
            self._paces.drop(self._duties.guards)
            self._settling.end()
            idle = {jumps, self._chores.pop(CLOCK, jumps), self._chores.pop(PRICES, jumps)}
            for task in idle:
                task.cancel()
            await asyncio.gather(self._finish(), asyncio.wait(idle, timeout=IDLE_S))
        return sound and self._failures.journal_is_sound

    async def adopt(self, duties: Duties) -> None:
        """Other duties, from the next cycle of each account on. What is under way ends as it would have.

        An account that is new, or has another key, begins once all that was under way has ended: it may be
        one of before, under another name. Returns once no guard of before does anything any more.
        """
        before, self._duties = self._duties, duties
        self._results.clear()
        under_way = [task for task in self._running.values() if not task.done()]
        same = {
            name
            for name, connection in duties.connections.items()
            if name in before.connections and before.connections[name] == connection
        }
        self._paces.drop(before.guards)
        self._settling.begin(duties.settle_s)
        self._again.clear()
        for name in before.guards.keys() - same:
            self.line.leave(name)
        self._armed.keep_only(same)
        self._watch.use(duties.stream, same)
        self._begin(same)
        self._failures.forget(f"account {name}" for name in before.guards.keys() - duties.guards.keys())
        drains = [asyncio.ensure_future(guard.drain()) for guard in before.guards.values()]
        await ended([*under_way, *drains], LONGEST_CYCLE_S)
        self._watch.use(duties.stream, duties.guards)
        self._begin(duties.guards.keys() - same)

    def take_on(self, name: str) -> None:
        """An account that has come to the guards of its duties is looked at from now on."""
        self._watch.use(self._duties.stream, self._duties.guards)
        self._begin([name])

    async def let_go(self, name: str, guard: Guard) -> bool:
        """Of an account that has left them, nothing begins any more. Returns once nothing is under way.

        Whether it ended by itself, and was not cut off.
        """
        self._paces.drop([name])
        self._armed.keep_only(self._duties.guards)
        self._watch.use(self._duties.stream, self._duties.guards)
        self._again.discard(name)
        self.line.leave(name)
        ends = [asyncio.ensure_future(guard.drain())]
        if (running := self._running.pop(name, None)) is not None:
            ends.append(running)
        late = await ended(ends, self._duties.shutdown_s)
        self._results.pop(name, None)
        self._failures.forget([f"account {name}"])
        return not late

    def _begin(self, names: Collection[str]) -> None:
        for number, name in enumerate(names):
            self._paces.begin(name, self._armed.pace_s(name), after_s=number * START_APART_S)

    # Jobs only start tasks: shutting the scheduler down cancels its jobs, and a cycle must not be cut off.

    async def _apart(self, name: str, chore: Callable[[], Awaitable[None]]) -> None:
        running = self._chores.get(name)
        if running is None or running.done():
            self._chores[name] = asyncio.create_task(self._do(name, chore))

    async def _do(self, name: str, chore: Callable[[], Awaitable[None]]) -> None:
        try:
            await chore()
        except Exception as error:  # noqa: BLE001 - told
            self._failures.failed(name, error, what=name)
        else:
            self._failures.works(name, what=name)

    def _wake(self, name: str, keys: Collection[LoanKey]) -> None:
        """Prices put these loans at their triggers: the account is looked at, now or right after."""
        log.debug("prices_crossed", account=name, loan_ids=[key.loan_id for key in keys][:MOST_NAMED])
        if self._is_running(name):
            self._again.add(name)
        self._start(name, keys)

    def _is_running(self, name: str) -> bool:
        return (running := self._running.get(name)) is not None and not running.done()

    def _repace(self, name: str, pace_s: float) -> None:
        if not self._ending:
            apart_s = START_APART_S * len(self._armed) % pace_s
            self._paces.change(name, pace_s, after_s=pace_s - apart_s)

    def _start(self, name: str, keys: Collection[LoanKey] = ()) -> None:
        if self._is_running(name) or self._goes_before(name, is_woken=bool(keys)):
            self._begin_cycle(name, [*keys, *self.line.leave(name)])
        else:
            self.line.ask(name, keys)

    def _goes_before(self, name: str, *, is_woken: bool) -> bool:
        """What is under way goes on, and who is in no danger keeps its pace, whoever is in line."""
        guard, last = self._duties.guards.get(name), self._results.get(name)
        if guard is None or not (is_woken or name in self._armed):
            return True
        return not guard.intents.none_is_open() or (last is not None and (last.in_haste or last.goes_on))

    def _begin_cycle(self, name: str, keys: Collection[LoanKey]) -> asyncio.Task[None] | None:
        guard = None if self._ending else self._duties.guards.get(name)
        if guard is not None and keys:
            guard.urge(keys)
        if guard is not None and not self._is_running(name):
            self._running[name] = asyncio.create_task(self._cycle(name))
        return self._running.get(name)

    async def _cycle(self, name: str) -> None:
        guard, began = self._duties.guards[name], time.monotonic()
        result: CycleResult | None = None
        try:
            with self._failures.of_account(name):
                guard.alerts.wider = self._alerts
                result = (await guard.cycle()).to_keep
            if result is not None and self._duties.guards.get(name) is guard:
                self._heed(name, result)
                self.hear(name, result, time.monotonic() - began)
        except LeaseLost:
            self.lost(name)
        finally:
            self.cycles_ended[name] += 1
            if name in self._again:
                self._again.discard(name)
                asyncio.get_running_loop().call_soon(self._start, name)

    def _heed(self, name: str, result: CycleResult) -> None:
        self._results[name] = result
        if result.actions:
            self.line.helped(name)
        if result.in_haste or result.goes_on:
            self._again.add(name)
        self._watch.saw(name, result)

    async def _look_at_clock(self) -> None:
        await self._looks.look_at_clock(self._duties.measure_clock)

    async def _beat(self) -> None:
        self._looks.look_at_descriptors()
        self._looks.look_at_accounts(self._duties.odd_accounts)
        results = [self._results.get(name) for name in self._duties.guards]
        trusted = bool(results) and all(item is not None and item.trusts_journal for item in results)
        with self._failures.of_journal("heartbeat"):
            await self._duties.heartbeat(trusted)

    async def _finish(self) -> None:
        """No new sends (the guards were told); what is under way is awaited, and journalled."""
        tasks = [task for task in (*self._running.values(), *self._chores.values()) if not task.done()]
        pending = [*tasks, *(asyncio.ensure_future(guard.drain()) for guard in self._duties.guards.values())]
        if pending and (late := await ended(pending, self._duties.shutdown_s)):
            self.ended_in_order = False
            log.error("shutdown_timed_out", tasks=late)
