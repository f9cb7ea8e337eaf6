"""The guards of a worker, which come and go with its leases, while all others go on."""

from __future__ import annotations

from dataclasses import replace

from ltv_guard.adapters.bybit import AddressBudget
from ltv_guard.adapters.settings import Settings
from ltv_guard.core.model.leases import Tenure
from ltv_guard.service import compose
from ltv_guard.service.fleet.whole import Whole
from ltv_guard.service.latest import Latest
from ltv_guard.service.live_run import LiveRun
from ltv_guard.service.reload import Reloads
from ltv_guard.service.scheduler import Daemon


class Roster:
    """Holds the settings of all accounts (`whole`); those in force in the run name only what it guards."""

    def __init__(self, reloads: Reloads, daemon: Daemon, latest: Latest, whole: Whole) -> None:
        self._reloads = reloads
        self.daemon = daemon
        self._latest = latest
        self._whole = whole

    @property
    def whole(self) -> Settings:
        """Of all accounts, as the files hold them."""
        return self._whole.settings

    @property
    def accounts(self) -> frozenset[str]:
        """Those that this worker's address may guard."""
        return self._whole.accounts

    @property
    def is_busy(self) -> bool:
        """Whether a reload has guards change hands within this process: leases wait for it."""
        return self._reloads.is_taking_over

    @property
    def address(self) -> AddressBudget:
        """How often this process may ask the exchange."""
        return self._reloads.run.wiring.host.address

    @property
    def guarded(self) -> frozenset[str]:
        """Accounts that have a guard."""
        return frozenset(self._reloads.run.wiring.guards)

    @property
    def ago_ms(self) -> dict[str, int]:
        """How long ago a cycle has last read each account's loans; without those that none has read yet."""
        return {
            name: int(self._latest.silent_s(name) * 1000)
            for name in self.guarded
            if (seen := self._latest.of(name)) is not None and seen.good_at is not None
        }

    async def take_on(self, tenure: Tenure) -> None:
        """A guard for an account that has come. It trusts the journal at once after an orderly end alone."""
        run, name = self._reloads.run, tenure.account
        settings = self.whole
        if name not in settings.accounts:
            return
        # A journal that went back may say of an end that it was orderly, and lack what followed.
        is_orderly = tenure.is_orderly and not run.journal.restorations
        frame = replace(run.frame(settings), continuous=is_orderly)
        await compose.take_on(run.wiring, frame, name)
        self._latest.begin(name)
        self._show(run)
        self.daemon.take_on(name)

    async def let_go(self, name: str) -> bool:
        """Ends an account's guard after what is in flight. Whether that ended by itself."""
        run = self._reloads.run
        guard = run.wiring.guards.pop(name, None)
        if guard is None:
            return True
        self._show(run)
        ended = await self.daemon.let_go(name, guard)
        await run.wiring.drop(name)
        return ended

    def _show(self, run: LiveRun) -> None:
        """Whoever looks at the run sees the accounts that it guards."""
        self._reloads.run = replace(run, settings=self._whole.of(run.wiring.guards))
