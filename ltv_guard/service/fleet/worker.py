"""A worker's life: it looks at the leases once a second, renews its own, takes its share, gives back more."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from ltv_guard.adapters.journal.fleet import FleetJournal
from ltv_guard.adapters.settings import Settings
from ltv_guard.core.decide.shares import moves
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.leases import FleetView, Tenure, Worker
from ltv_guard.guard.defects import Defects
from ltv_guard.log.escaping import clean
from ltv_guard.service.fleet.holdings import Holdings
from ltv_guard.service.fleet.roster import Roster

LOOK_S = 1.0
LONGEST_GAP_S = 3 * LOOK_S  # between two views: what is longer was a time without the database
GIVEN_BACK_WITHIN_S = 5.0

log = structlog.stdlib.get_logger()


def new_worker(settings: Settings) -> Worker:
    """A name that no process has had before: one that starts anew must not be taken for the one before."""
    host = clean(socket.gethostname())[:60]
    return Worker(
        name=f"{host}-{secrets.token_hex(4)}", egress=settings.fleet.egress, host=host, pid=os.getpid()
    )


class FleetWorker:
    """Begun with the daemon, ended after it. Nothing of it is on the way of an adjustment."""

    def __init__(self, worker: Worker, journal: FleetJournal, holdings: Holdings, roster: Roster) -> None:
        self._worker = worker
        self._journal = journal
        self._leases = journal.leases_of(roster.whole.exchange.environment)
        self._holdings = holdings
        self._roster = roster
        self._lease_s = float(roster.whole.fleet.lease_s)
        self._defects = Defects(roster.daemon.alerts)
        self._seen_at: float | None = None
        self._rests_until = 0.0
        self._renewed_at: float | None = None
        self._ends: dict[str, asyncio.Task[None]] = {}
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, stop: asyncio.Event) -> None:
        """From now on accounts come and go; none comes any more once `stop` is set."""
        self._roster.daemon.lost = self.doubt
        self._task = asyncio.create_task(self._watch(stop))

    def doubt(self, account: str) -> None:
        """A write for the account was refused: nothing is sent for it before the leases were looked at."""
        self._holdings.doubt(account)
        self._renewed_at = None
        self._nudge.set()

    async def end(self) -> None:
        """Gives everything back, once no guard does anything more. A journal that fails holds up no end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.gather(*self._ends.values(), return_exceptions=True)
        try:
            async with asyncio.timeout(GIVEN_BACK_WITHIN_S):
                await self._give_back(self._holdings.tenures, is_orderly=self._roster.daemon.ended_in_order)
                await self._leases.leave(self._worker.name)
        except JournalUnavailable as error:
            log.warning("leases_not_given_back", why=str(error))
        except TimeoutError:
            log.warning("leases_not_given_back", why=f"no answer within {GIVEN_BACK_WITHIN_S:g} s")

    async def _watch(self, stop: asyncio.Event) -> None:
        while True:
            try:
                with self._defects.contained("looking after the leases"):
                    await self._look(is_ending=stop.is_set())
                    self._roster.daemon.failures.journal_works("leases")
            except JournalUnavailable as error:
                self._roster.daemon.failures.journal_failed("leases", error)
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._nudge.wait()
        except TimeoutError:
            return
        self._nudge.clear()
        await asyncio.sleep(LOOK_S / 10)  # what is refused again and again makes no storm of looks

    async def _look(self, *, is_ending: bool) -> None:
        asked_at = time.monotonic()
        view = await self._view(asked_at)
        may_take = self._may_take(asked_at)
        self._roster.share(len(view.workers))
        if is_ending or self._roster.is_busy:
            self._holdings.hear(view, asked_at)
            return
        self._agree(view, asked_at)
        accounts = self._roster.accounts
        found = moves(view, self._worker.name, accounts, may_take=may_take)
        self._begin_to_leave({*found.give_back, *(self._holdings.accounts - accounts)})
        if found.take:
            now = time.monotonic()
            for tenure in await self._leases.take(self._worker, found.take, int(self._lease_s * 1000)):
                self._hold(tenure)
                self._holdings.take(tenure, now + self._lease_s)
        await self._guard_what_is_held()

    def _may_take(self, asked_at: float) -> bool:
        """Not by the first view. After a time without the database others may be late to renew theirs."""
        third_s = self._lease_s / 3
        before, self._seen_at = self._seen_at, asked_at
        if before is None:
            return False
        if asked_at - before > max(third_s, LONGEST_GAP_S):
            self._rests_until = asked_at + third_s
        return asked_at >= self._rests_until

    async def _view(self, asked_at: float) -> FleetView:
        """Renewed at a third of the lease; in between it is only looked."""
        if self._renewed_at is not None and asked_at - self._renewed_at < self._lease_s / 3 - LOOK_S / 2:
            return await self._leases.look(self._worker.egress)
        view = await self._leases.beat(self._worker, self._roster.accounts, int(self._lease_s * 1000))
        self._renewed_at = asked_at
        return view

    def _agree(self, view: FleetView, asked_at: float) -> None:
        come, lost = self._holdings.agree(view, asked_at)
        for name in lost:
            self._journal.let_go(name)
            log.warning("lease_lost", account=name, worker=self._worker.name)
            self._begin_to_end(name, self._end_guard(name))
        for tenure in come:
            self._hold(tenure)

    def _hold(self, tenure: Tenure) -> None:
        self._journal.hold(tenure)
        told = {"worker": tenure.worker, "epoch": tenure.epoch, "orderly": tenure.is_orderly}
        log.info("lease_taken", account=tenure.account, **told)

    async def _guard_what_is_held(self) -> None:
        """Also what a reload has left over, or has not made, while leases came and went."""
        for name in self._roster.guarded - self._holdings.accounts - self._ends.keys():
            self._begin_to_end(name, self._end_guard(name))
        for name in sorted(self._holdings.accounts - self._roster.guarded - self._ends.keys()):
            tenure = self._holdings.tenure_of(name)
            if tenure is not None:
                with self._defects.contained("taking an account on"):
                    await self._roster.take_on(tenure)

    def _begin_to_leave(self, accounts: set[str]) -> None:
        for tenure in self._holdings.leave(accounts):
            self._begin_to_end(tenure.account, self._leave(tenure))

    def _begin_to_end(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Beside the looks: what is in flight may take seconds, and leases must be renewed meanwhile.

        One after the other for an account: no guard of it begins before the one of before has ended.
        """
        before = self._ends.get(name)

        async def end() -> None:
            if before is not None:
                await asyncio.wait([before])
            await work

        self._ends[name] = task = asyncio.create_task(end())
        task.add_done_callback(partial(self._has_ended, name))

    def _has_ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._ends.get(name) is task:
            del self._ends[name]
        self._nudge.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._defects.tell(Defect(what="ending the guard of an account", error=error))

    async def _end_guard(self, name: str) -> None:
        await self._roster.let_go(name)

    async def _leave(self, tenure: Tenure) -> None:
        """After what is in flight; while the journal fails the lease runs out by itself."""
        try:
            is_orderly = await self._roster.let_go(tenure.account)
            await self._give_back([tenure], is_orderly=is_orderly)
        except JournalUnavailable as error:
            self._holdings.drop(tenure)
            log.warning("leases_not_given_back", why=str(error))

    async def _give_back(self, tenures: Sequence[Tenure], *, is_orderly: bool) -> None:
        await self._leases.give_back(tenures, is_orderly=is_orderly)
        for tenure in tenures:
            self._holdings.drop(tenure)
            self._journal.let_go(tenure.account)
            told = {"worker": tenure.worker, "epoch": tenure.epoch, "orderly": is_orderly}
            log.info("lease_given_back", account=tenure.account, **told)
