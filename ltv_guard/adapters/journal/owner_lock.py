"""A daemon's claim on a user in PostgreSQL: an advisory lock, and the session that holds it."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ltv_guard.adapters.journal.lineage import Lineage
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.loans import Owner

_LOCK_NOT_AVAILABLE = "55P03"


class OwnerLock:
    """An owner's advisory lock and the session that holds it; taken again when the session was lost."""

    def __init__(self, sessions: AsyncEngine, owner: Owner, lineage: Lineage) -> None:
        self.turn = asyncio.Lock()
        self.owner = owner
        self._sessions = sessions
        self._lineage = lineage
        self._known: int | None = None  # restorations when the last session was taken
        self._session: AsyncConnection | None = None

    async def session(self) -> AsyncConnection:
        """Raises JournalUnavailable, once, where what was written before may be lost: think anew first."""
        if self._session is not None and (self._session.invalidated or self._is_behind):
            # Left to itself it would connect anew, without the lock.
            await self.give_up()
        if self._session is None:
            self._session = await self._taken()
            is_news = self._known is not None and self._is_behind
            self._known = len(self._lineage.restorations)
            if is_news:
                raise JournalUnavailable(f"{self._lineage.restorations[-1]}: what was decided is given up")
        return self._session

    @property
    def _is_behind(self) -> bool:
        return self._known != len(self._lineage.restorations)

    async def give_up(self) -> None:
        """Lets go of the lock, by ending the session that holds it."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _taken(self) -> AsyncConnection:
        session = await self._sessions.connect()
        try:
            async with session.begin():
                # Long enough for a daemon that is just ending, or for our own lost session to be noticed.
                await session.execute(text("SET LOCAL lock_timeout = '1s'"))
                await session.execute(select(func.pg_advisory_lock(lock_number(owner_name(self.owner)))))
        except BaseException as error:
            await session.close()
            if isinstance(error, DBAPIError) and _sqlstate(error) == _LOCK_NOT_AVAILABLE:
                raise JournalUnavailable(
                    f"another ltv-guard guards the {self.owner.environment} user {self.owner.user_id} "
                    "with this journal: stop it first"
                ) from error
            raise
        return session


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def owner_name(owner: Owner) -> str:
    """What an owner's lock is called."""
    return f"{owner.environment} {owner.user_id}"


def lock_number(name: str) -> int:
    """The 64-bit number that PostgreSQL knows an advisory lock by."""
    return int.from_bytes(sha256(f"ltv-guard {name}".encode()).digest()[:8], signed=True)
