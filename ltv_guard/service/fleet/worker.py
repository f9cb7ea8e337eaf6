"""A worker's life: it looks at the leases once a second, renews its own, takes its share, gives back more."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections import Counter

import structlog

from ltv_guard.adapters.journal.fleet import FleetJournal
from ltv_guard.adapters.settings import Settings
from ltv_guard.core.decide.shares import moves
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.leases import FleetStatus, FleetView, Tenure, Worker
from ltv_guard.guard.defects import Defects
from ltv_guard.log.escaping import clean
from ltv_guard.service.fleet.call_share import CallShare
from ltv_guard.service.fleet.departures import GIVEN_BACK_WITHIN_S, Departures
from ltv_guard.service.fleet.holdings import Holdings
from ltv_guard.service.fleet.roster import Roster

LOOK_S = 1.0
LONGEST_GAP_S = 3 * LOOK_S  # between two views: what is longer was a time without the database

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
        self._calls = CallShare(
            worker, self._leases, lambda: roster.address, lambda: roster.whole.exchange.ip_budget_per_5s
        )
        self._seen_at: float | None = None
        self._rests_until = 0.0
        self._renewed_at: float | None = None
        self._departures = Departures(self._leases, journal, holdings, roster, self._defects)
        self._view: FleetView | None = None
        self._taken: Counter[str] = Counter()
        self._lost = 0
        self._nudge = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def status(self) -> FleetStatus:
        """From memory: by its last look at the leases."""
        view, accounts = self._view, self._roster.accounts
        unheld = () if view is None else [it for it in view.leases if it.is_free(view.now_ms)]
        return FleetStatus(
            worker=self._worker.name,
            epochs={item.account: item.epoch for item in self._holdings.tenures},
            accounts=len(accounts),
            unheld=sum(item.account in accounts for item in unheld),
            workers=0 if view is None else len(view.workers),
            taken=dict(self._taken),
            lost=self._lost,
            refused=dict(self._journal.refused),
        )

    def begin(self, stop: asyncio.Event) -> None:
        """From now on accounts come and go; once `stop` is set, each goes as soon as it can."""
        self._roster.daemon.lost = self.doubt
        self._calls.begin()
        self._departures.ended = self._nudge.set
        self._tasks = [asyncio.create_task(self._watch(stop)), asyncio.create_task(self._leave_at(stop))]

    def doubt(self, account: str) -> None:
        """A write for the account was refused: nothing is sent for it before the leases were looked at."""
        self._holdings.doubt(account)
        self._renewed_at = None
        self._nudge.set()

    async def end(self) -> None:
        """Gives back what is left, once no guard does anything more. A journal that fails holds up no end."""
        await self._departures.all_ended()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._holdings.tenures:
            await self._departures.give_back_what_is_left(is_orderly=self._roster.daemon.ended_in_order)
        try:
            async with asyncio.timeout(GIVEN_BACK_WITHIN_S):
                await self._leases.leave(self._worker.name, calls=self._calls.counted)
        except JournalUnavailable as error:
            log.warning("leases_not_given_back", why=str(error))
        except TimeoutError:
            log.warning("leases_not_given_back", why=f"no answer within {GIVEN_BACK_WITHIN_S:g} s")

    async def _leave_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._departures.give_back(self._holdings.accounts)
        self._renewed_at = None  # the others hear at once that it is no more to be counted with
        self._nudge.set()

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
        begins = self._seen_at is None
        view = self._view = await self._seen(asked_at, is_ending=is_ending)
        may_take = self._may_take(asked_at)
        if not is_ending:
            await self._calls.agree(view, asked_at, begins=begins)
        if is_ending or self._roster.is_busy:
            self._holdings.hear(view, asked_at)
            if is_ending:
                self._departures.give_back(self._holdings.accounts)  # also what came at the last moment
            return
        self._agree(view, asked_at)
        accounts = self._roster.accounts
        found = moves(view, self._worker.name, accounts, may_take=may_take)
        self._departures.give_back({*found.give_back, *(self._holdings.accounts - accounts)})
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

    async def _seen(self, asked_at: float, *, is_ending: bool) -> FleetView:
        """Renewed at a third of the lease; in between it is only looked."""
        if self._renewed_at is not None and asked_at - self._renewed_at < self._lease_s / 3 - LOOK_S / 2:
            return await self._leases.look(self._worker.egress)
        view = await self._leases.beat(
            self._worker,
            self._roster.accounts,
            int(self._lease_s * 1000),
            ago_ms=self._roster.ago_ms,
            is_leaving=is_ending,
        )
        self._renewed_at = asked_at
        return view

    def _agree(self, view: FleetView, asked_at: float) -> None:
        come, lost = self._holdings.agree(view, asked_at)
        for name in lost:
            self._journal.let_go(name)
            log.warning("lease_lost", account=name, worker=self._worker.name)
            self._departures.end(name)
        self._lost += len(lost)
        for tenure in come:
            self._hold(tenure)

    def _hold(self, tenure: Tenure) -> None:
        self._journal.hold(tenure)
        self._taken[tenure.how] += 1
        told = {"worker": tenure.worker, "epoch": tenure.epoch, "orderly": tenure.is_orderly}
        log.info("lease_taken", account=tenure.account, **told)

    async def _guard_what_is_held(self) -> None:
        """Also what a reload has left over, or has not made, while leases came and went."""
        leaving = self._departures.under_way
        for name in self._roster.guarded - self._holdings.accounts - leaving:
            self._departures.end(name)
        for name in sorted(self._holdings.accounts - self._roster.guarded - leaving):
            tenure = self._holdings.tenure_of(name)
            if tenure is not None:
                with self._defects.contained("taking an account on"):
                    await self._roster.take_on(tenure)
