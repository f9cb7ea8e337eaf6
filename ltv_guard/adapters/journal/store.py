"""Where the journal's tables live, as `SqlJournal` sees it: what it reads, writes and locks through."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner


class Store(Protocol):
    """Everything raises JournalUnavailable. `place` names it in a sentence, without any password."""

    place: str
    is_continuous: bool

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A consistent view; never blocks a writer."""

    def writing(self, owner: Owner | None = None) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that is durable when it ends. With `owner`: only while its claim holds."""

    async def claim(self, owner: Owner) -> None:
        """From now on no other daemon can write for `owner`."""

    async def lock_pauses(self, connection: AsyncConnection, *, exclusive: bool) -> None:
        """Orders pausing and sending: whoever comes second sees what the first has written."""

    async def note_sent(self, connection: AsyncConnection, intent: Intent) -> None:
        """Notes, within the transaction that marks it sent, that this intent is the last, and counts it."""

    async def seal(self) -> None:
        """Makes the journal continuous for the next start."""

    @property
    def restorations(self) -> Sequence[str]:
        """Why what was written may be lost, each time that this was found since it was opened."""

    async def close(self) -> None: ...
