"""A connection to PostgreSQL: how it is made, and how one that has ended is noticed and replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection

NAMED = {"application_name": "ltv-guard"}


async def connected(dsn: str, timeout_s: float, idle_s: float, *, is_pooled: bool) -> Any:  # noqa: ANN401 - untyped
    """A connection of the driver's own, which reads the URL itself: all that libpq knows (sslmode) works.

    `is_pooled`: by transaction, so that no setting of a session would last (postgres_pooled.py).
    """
    how: dict[str, Any] = {"timeout": timeout_s, "command_timeout": 2 * timeout_s}
    if is_pooled:
        return await asyncpg.connect(dsn, **how, statement_cache_size=0, server_settings=NAMED)
    settings = {
        **NAMED,
        "synchronous_commit": "on",
        "lock_timeout": f"{timeout_s * 1000:.0f}",
        # A session whose machine has vanished must not hold its claim for two hours.
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "idle_in_transaction_session_timeout": f"{idle_s * 1000:.0f}",
    }
    return await asyncpg.connect(dsn, **how, server_settings=settings)


def is_open(connection: Any, _record: object, _proxy: object) -> None:  # noqa: ANN401 - a driver's
    """A session that the server has ended is replaced, without asking the server each time."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


async def begin_anew(connection: AsyncConnection, error: DBAPIError) -> None:
    """The server had ended the session, and nothing was written by it: another takes its place."""
    if not error.connection_invalidated:
        raise error
    await connection.rollback()


@asynccontextmanager
async def left_if_silent(connection: AsyncConnection) -> AsyncIterator[None]:
    """A session that has not answered is not used again: its network may be gone."""
    try:
        yield
    except TimeoutError:
        await connection.invalidate()
        raise
