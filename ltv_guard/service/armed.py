"""Accounts near a trigger: they are looked at more often, and kept ready to act."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import structlog

from ltv_guard.service.duties import Duties

READY_S = 2.0  # beyond the next look at the loans, which keeps them ready again

log = structlog.stdlib.get_logger()


class Armed:
    """`repace` has an account looked at so often, in seconds, from now on."""

    def __init__(self, repace: Callable[[str, float], None], duties: Callable[[], Duties]) -> None:
        self._repace = repace
        self._duties = duties
        self._names: set[str] = set()

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def keep_only(self, names: Collection[str]) -> None:
        """Forgets all others."""
        self._names &= set(names)

    def pace_s(self, name: str) -> float:
        """Seconds from one look at its loans to the next."""
        return self._duties().pace_s(armed=name in self._names)

    def arm(self, name: str) -> None:
        """For as long as a loan of it is near its trigger: to be said again and again."""
        if name not in self._names:
            self._names.add(name)
            log.debug("account_armed", account=name, poll_s=self.pace_s(name))
            self._repace(name, self.pace_s(name))
        account = self._duties().accounts.get(name)
        if account is not None:
            account.keep_ready(int((time.monotonic() + READY_S + 2 * self.pace_s(name)) * 1000))

    def disarm(self, name: str) -> None:
        """No loan of it is near its trigger any more."""
        if name in self._names:
            self._names.discard(name)
            log.debug("account_calm", account=name, poll_s=self.pace_s(name))
            self._repace(name, self.pace_s(name))
