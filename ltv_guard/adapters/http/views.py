"""What is served, as the server asks for it: a Protocol, which the service implements."""

from __future__ import annotations

from typing import Protocol

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.leases import FleetRegister
from ltv_guard.core.model.status import Health, Status


class Views(Protocol):
    """Asked anew for each request. `token` None: nothing may be changed over HTTP."""

    @property
    def token(self) -> str | None:
        """What a POST must carry; None: nothing may be changed from here."""

    @property
    def host(self) -> str:
        """Where it listens, as it was configured: a name that requests may use."""

    def health(self) -> Health:
        """Whether the process lives and is ready, and why not. Asks nobody."""

    async def status(self) -> Status:
        """All that a running guard sees. A journal that can't be read costs only what lies there."""

    async def workers(self) -> FleetRegister | None:
        """Who of a fleet guards what; None: accounts are not shared. Raises JournalUnavailable."""

    async def pause(self, account: str | None, reason: str) -> None:
        """Raises ValueError for an account that there is not, JournalUnavailable."""

    async def resume(self, account: str | None) -> bool:
        """Whether there was a pause to lift. Raises as `pause`."""

    async def ack(self, alarm_id: str) -> list[str]:
        """Ids that begin so, of alarms that last: acknowledged now. Raises JournalUnavailable."""

    def tell(self, defect: Defect) -> None:
        """Of an error of ours in an answer: who scrapes finds it again and again, and it is told once."""
