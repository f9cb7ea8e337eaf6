"""Accounts that leave a worker: each guard ends after what is in flight, and its lease is given back then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import structlog

from ltv_guard.adapters.journal.fleet import FleetJournal
from ltv_guard.adapters.journal.leases import SqlLeases
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.leases import Tenure
from ltv_guard.guard.defects import Defects
from ltv_guard.service.fleet.holdings import Holdings
from ltv_guard.service.fleet.roster import Roster

GIVEN_BACK_WITHIN_S = 5.0

log = structlog.stdlib.get_logger()


class Departures:
    """Beside the looks: what is in flight may take seconds, and leases must be renewed meanwhile."""

    def __init__(
        self, leases: SqlLeases, journal: FleetJournal, holdings: Holdings, roster: Roster, defects: Defects
    ) -> None:
        self.ended: Callable[[], None] = lambda: None
        """Is told each time that an account has left."""
        self._leases = leases
        self._journal = journal
        self._holdings = holdings
        self._roster = roster
        self._defects = defects
        self._ends: dict[str, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> frozenset[str]:
        """Accounts whose guard is ending."""
        return frozenset(self._ends)

    def give_back(self, accounts: Iterable[str]) -> None:
        """Each one by itself: one that has nothing in flight waits for no other."""
        for tenure in self._holdings.leave(accounts):
            self._begin(tenure.account, self._leave(tenure))

    def end(self, account: str) -> None:
        """Of one that is another's already."""
        self._begin(account, self._end_guard(account))

    async def all_ended(self) -> None:
        """Returns once no account is leaving any more."""
        while self._ends:
            await asyncio.wait(self._ends.values())
            await asyncio.sleep(0)  # what was told of them

    async def give_back_what_is_left(self, *, is_orderly: bool) -> None:
        """At the end, of all that no guard does anything more for."""
        await self._give_back(self._holdings.tenures, is_orderly=is_orderly)

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """One after the other for an account: no guard of it begins before the one of before has ended."""
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
        self.ended()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._defects.tell(Defect(what="ending the guard of an account", error=error))

    async def _end_guard(self, name: str) -> None:
        await self._roster.let_go(name)

    async def _leave(self, tenure: Tenure) -> None:
        """After what is in flight; while the journal fails the lease runs out by itself."""
        is_orderly = await self._roster.let_go(tenure.account)
        await self._give_back([tenure], is_orderly=is_orderly)

    async def _give_back(self, tenures: Sequence[Tenure], *, is_orderly: bool) -> None:
        """A journal that fails holds up no end: the leases run out by themselves then."""
        why = None
        try:
            async with asyncio.timeout(GIVEN_BACK_WITHIN_S):
                await self._leases.give_back(tenures, is_orderly=is_orderly)
        except JournalUnavailable as error:
            why = str(error)
        except TimeoutError:
            why = f"no answer within {GIVEN_BACK_WITHIN_S:g} s"
        for tenure in tenures:
            self._holdings.drop(tenure, given_back=why is None)
            self._journal.let_go(tenure.account)
            if why is None:
                told = {"worker": tenure.worker, "epoch": tenure.epoch, "orderly": is_orderly}
                log.info("lease_given_back", account=tenure.account, **told)
        if why is not None:
            log.warning("leases_not_given_back", why=why)
