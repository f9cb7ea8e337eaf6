"""The settings of all accounts of a fleet, of which a worker guards some."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ltv_guard.adapters.settings import ConfigError, Settings

FIXED = ("fleet", "journal")  # what a worker is known by to the others


class Whole:
    """`read` reads them again. A worker obeys those `of` the accounts that it holds."""

    def __init__(self, settings: Settings, read: Callable[[], Settings]) -> None:
        self.settings = settings
        self._read = read

    @property
    def accounts(self) -> frozenset[str]:
        """Those whose keys may call from this worker's address."""
        egress = self.settings.fleet.egress
        return frozenset(name for name, item in self.settings.accounts.items() if item.egress == egress)

    def of(self, accounts: Collection[str]) -> Settings:
        """The settings of a run that guards these alone."""
        kept = {name: item for name, item in self.settings.accounts.items() if name in accounts}
        return self.settings.model_copy(update={"accounts": kept})

    def read_again(self, accounts: Callable[[], Collection[str]]) -> Settings:
        """What the files hold now, of these accounts. Raises ConfigError, also for what needs a restart."""
        found = self._read()
        for name in FIXED:
            if getattr(found, name) != getattr(self.settings, name):
                raise ConfigError(f"{name} can't be changed while a worker of a fleet runs: start it anew")
        if found.exchange.environment != self.settings.exchange.environment:
            raise ConfigError("exchange.environment can't be changed while a worker of a fleet runs")
        self.settings = found
        return self.of(accounts())
