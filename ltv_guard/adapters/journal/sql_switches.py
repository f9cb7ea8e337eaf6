"""What a journal in a database keeps beside intents: pauses, runs of the daemon, bans."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltv_guard.adapters.journal import statements
from ltv_guard.adapters.journal.records import (
    LONGEST_ID,
    RUNS_KEPT_MS,
    Ban,
    Run,
    account_of,
    pause_of,
    storable,
    stored_account,
)
from ltv_guard.adapters.journal.session import NOTHING, Row, Session
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.ports import Pause

if TYPE_CHECKING:
    from ltv_guard.adapters.journal.leases import SqlLeases


class SqlSwitches:
    """Every method raises JournalUnavailable; every write is durable when it returns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def leases_of(self, environment: str) -> SqlLeases:
        """Who guards which account, where workers share them."""
        from ltv_guard.adapters.journal.leases import SqlLeases  # noqa: PLC0415 - for a fleet alone

        return SqlLeases(self._store, environment)

    async def pauses(self) -> tuple[Pause, ...]:
        """Every pause that holds: of all accounts, and of single ones."""
        return tuple(pause_of(row) for row in await self._rows(statements.PAUSES))

    async def pause(self, account: str | None, reason: str, at_ms: int, until_ms: int | None = None) -> None:
        """Once this returns, no intent of the account (None: of any) is marked sent until it is resumed.

        With `until_ms` by `lift_pauses` too, from then on.
        """
        row = {
            "account": stored_account(account),
            "reason": storable(reason),
            "since_ms": at_ms,
            "until_ms": until_ms,
        }

        def pull(session: Session) -> None:
            self._store.lock_pauses(session, exclusive=True)
            # An earlier pause goes first, and its acknowledgements with it: this one has not been seen.
            _lift(session, account)
            session.execute(statements.PAUSED, row)

        await self._store.write(pull)

    async def resume(self, account: str | None) -> bool:
        """Lifts the pause of the account, or (None) the one for all; False where there was none."""
        return await self._store.write(lambda session: _lift(session, account)) > 0

    async def lift_pauses(self, at_ms: int) -> bool:
        """Lifts those that were to end by then; one that was pulled anew meanwhile has an end of its own."""

        def lift(session: Session) -> int:
            self._store.lock_pauses(session, exclusive=True)
            return session.execute(statements.NO_PAUSE_THAT_IS_OVER, {"at_ms": at_ms})

        return await self._store.write(lift) > 0

    async def begin_run(self, run_id: str, at_ms: int) -> None:
        """Records a start of the daemon; runs that have been silent for a day are forgotten."""

        def begin(session: Session) -> None:
            session.execute(statements.FORGOTTEN_RUNS, {"before_ms": at_ms - RUNS_KEPT_MS})
            session.execute(statements.BEGUN_RUN, _alive(run_id, at_ms))

        await self._store.write(begin)

    async def acknowledge_pauses(self, run_id: str, at_ms: int) -> tuple[Pause, ...]:
        """Says that the run is alive and obeys every pause; returns those that it had not seen before."""

        def acknowledge(session: Session) -> list[Row]:
            self._store.lock_pauses(session, exclusive=False)
            session.execute(statements.LIVING_RUN, _alive(run_id, at_ms))
            fresh = session.rows(statements.UNACKNOWLEDGED_BY, {"run_id": run_id})
            for row in fresh:
                seen = {"account": row["account"], "run_id": run_id, "at_ms": at_ms}
                session.execute(statements.ACKNOWLEDGED, seen)
            return fresh

        return tuple(pause_of(row) for row in await self._store.write(acknowledge))

    async def end_run(self, run_id: str, at_ms: int) -> None:
        """Writes that the run has ended by itself."""
        ended = {"run_id": run_id, "at_ms": at_ms}
        await self._store.write(lambda session: session.execute(statements.ENDED_RUN, ended))

    async def runs(self) -> tuple[Run, ...]:
        """Recent starts of the daemon, oldest first, with the pauses that each has acknowledged."""
        found, seen = await self._store.read(
            lambda session: (session.rows(statements.RUNS), session.rows(statements.ACKNOWLEDGEMENTS))
        )
        return tuple(
            Run(
                **row,
                acknowledged=frozenset(
                    account_of(item["account"]) for item in seen if item["run_id"] == row["run_id"]
                ),
            )
            for row in found
        )

    async def remember_ban(self, host: str, until_ms: int, at_ms: int) -> None:
        """Writes down a ban of a host, in place of the one before. Times are wall time, ms."""
        row = {"host": host, "until_ms": until_ms, "set_at_ms": at_ms}
        await self._store.write(lambda session: session.execute(statements.PUT_BAN, row))

    async def bans(self) -> tuple[Ban, ...]:
        """The latest ban of each host, over or not."""
        return tuple(Ban(**row) for row in await self._rows(statements.BANS))

    async def _rows(self, statement: str, values: Mapping[str, Any] = NOTHING) -> list[Row]:
        return await self._store.read(lambda session: session.rows(statement, values))


def _lift(session: Session, account: str | None) -> int:
    return session.execute(statements.NO_PAUSE, {"account": stored_account(account)})


def _alive(run_id: str, at_ms: int) -> Row:
    return {
        "run_id": run_id,
        "host": storable(socket.gethostname(), LONGEST_ID),
        "pid": os.getpid(),
        "started_at_ms": at_ms,
        "alive_at_ms": at_ms,
    }
