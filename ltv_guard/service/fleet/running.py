"""A worker of a fleet, put together: its journal, what it holds, and the daemon that guards it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ltv_guard.adapters.journal import open_fleet_journal
from ltv_guard.adapters.journal.fleet import FleetJournal
from ltv_guard.adapters.settings import Settings, load
from ltv_guard.core.model.leases import FleetRegister, FleetStatus
from ltv_guard.service.fleet.holdings import Holdings
from ltv_guard.service.fleet.roster import Roster
from ltv_guard.service.fleet.whole import Whole
from ltv_guard.service.fleet.worker import FleetWorker, new_worker
from ltv_guard.service.latest import Latest
from ltv_guard.service.live_run import LiveRun, open_run
from ltv_guard.service.reload import Reloads
from ltv_guard.service.scheduler import Daemon

MOST_IDLE_S = 5.0  # a worker that stands still within a transaction holds up others for so long at most


class Fleet:
    """Of one process. Made by `open_fleet`."""

    def __init__(self, settings: Settings, journal: FleetJournal) -> None:
        self._worker = new_worker(settings)
        self._journal = journal
        self._holdings = Holdings(self._worker.name)
        self._whole = Whole(settings, lambda: load(settings.source, before=self._whole.settings))
        self._leases: FleetWorker | None = None

    async def open_run(self, stopping: Callable[[], bool]) -> LiveRun:
        """A run that guards nobody yet. Raises as `live_run.open_run`."""
        return await open_run(
            self._whole.of(()), stopping, journal=self._journal, may_send=self._holdings.may_send
        )

    def read(self) -> Settings:
        """The configuration as it is now, of the accounts that are held. Raises ConfigError."""
        return self._whole.read_again(lambda: self._holdings.accounts)

    def begin(self, reloads: Reloads, daemon: Daemon, latest: Latest, stop: asyncio.Event) -> None:
        """From now on accounts come and go."""
        roster = Roster(reloads, daemon, latest, self._whole)
        self._leases = FleetWorker(self._worker, self._journal, self._holdings, roster)
        self._leases.begin(stop)

    @property
    def status(self) -> FleetStatus | None:
        """What this worker knows of the fleet now; None: it has not begun."""
        return None if self._leases is None else self._leases.status

    async def register(self) -> FleetRegister:
        """Who guards what, as the journal has it. Raises JournalUnavailable."""
        whole = self._whole.settings
        found = await self._journal.leases_of(whole.exchange.environment).register()
        return found.of({name: item.egress for name, item in whole.accounts.items()})

    async def end(self) -> None:
        """Gives all accounts back."""
        if self._leases is not None:
            await self._leases.end()


async def open_fleet(settings: Settings) -> Fleet:
    """Raises JournalUnavailable."""
    idle_s = min(float(settings.fleet.lease_s) / 3, MOST_IDLE_S)
    return Fleet(settings, await open_fleet_journal(settings.journal.url.get_secret_value(), idle_s=idle_s))
