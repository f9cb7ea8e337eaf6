"""The journal in a database: SQLite by default, PostgreSQL where several machines share one."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Result, Select, Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ltv_guard.adapters.journal import queries
from ltv_guard.adapters.journal.records import (
    LONGEST_ID,
    RUNS_KEPT_MS,
    Ban,
    Run,
    account_of,
    episode_of,
    intent_of,
    pause_of,
    storable,
    stored_account,
)
from ltv_guard.adapters.journal.store import Store
from ltv_guard.adapters.journal.tables import acknowledgements, bans, episodes, pauses, runs
from ltv_guard.core.model.errors import AlreadyOpen, GuardError, ImpossibleTransition, JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Episode, Pause

OF_A_TRANSFER = "selftransfer_"  # stands before our own id where the exchange lists transfers


class SqlJournal:
    """Implements `ports.Journal`, and what the commands need. Made by `open_journal`; close it with `close`.

    Every method raises JournalUnavailable; every write is durable when it returns.
    """

    def __init__(self, store: Store, *, is_new: bool) -> None:
        self._store = store
        self._is_new = is_new

    @property
    def is_new(self) -> bool:
        """Whether, when it was opened, it held no intent and knew of no earlier run."""
        return self._is_new

    @property
    def is_continuous(self) -> bool:
        """Whether nothing can have been sent that it does not know of. Only a daemon's SQLite can say yes."""
        return self._store.is_continuous

    @property
    def restorations(self) -> Sequence[str]:
        return self._store.restorations

    async def close(self) -> None:
        await self._store.close()

    async def seal(self) -> None:
        """To be called once window and margins have passed and every account's history has been read.

        From then on a restart finds the journal continuous, unless the file is exchanged for another.
        """
        await self._store.seal()

    async def claim(self, owner: Owner) -> None:
        """Makes this daemon the only one that writes for `owner`. To be called before anything is planned."""
        await self._store.claim(owner)

    async def open_intents(self, owner: Owner) -> tuple[Intent, ...]:
        return await self._intents(queries.open_of(owner))

    async def recent_intents(self, owner: Owner, since_ms: int) -> tuple[Intent, ...]:
        return await self._intents(queries.recent_of(owner, since_ms))

    async def list_intents(self, limit: int | None = None) -> tuple[Intent, ...]:
        """Of every owner, newest first."""
        return await self._intents(queries.newest(limit))

    async def get_intent(self, intent_id: str) -> Intent | None:
        return next(iter(await self._intents(queries.one(intent_id))), None)

    async def plan(self, intent: Intent) -> None:
        if intent.state is not State.PLANNED:
            raise ImpossibleTransition(f"intent {intent.intent_id} begins as {intent.state}, not as planned")
        async with self._store.writing(intent.owner) as connection:
            try:
                await connection.execute(queries.planned(intent))
            except IntegrityError as error:
                raise _refused(intent, error) from error

    async def mark_sent(self, intent: Intent) -> bool:
        if intent.state is not State.SENT:
            raise ImpossibleTransition(f"intent {intent.intent_id} is {intent.state}, not sent")
        async with self._store.writing(intent.owner) as connection:
            await self._store.lock_pauses(connection, exclusive=False)
            if (await connection.execute(queries.sent_unless_paused(intent))).rowcount == 1:
                await self._store.note_sent(connection, intent)
                return True
            await self._check_state(connection, intent.intent_id, State.PLANNED)
            return False

    async def record(self, before: Intent, after: Intent) -> None:
        if after.state is State.SENT:
            raise ImpossibleTransition(f"intent {after.intent_id}: only mark_sent makes it sent")
        async with self._store.writing(after.owner) as connection:
            await self._replace(connection, before, after)

    async def resolve(
        self, written: str, state: State, at_ms: int, *, adjust_id: str | None = None, forced: bool = False
    ) -> Intent:
        """Writes how a person says it ended. Raises ImpossibleTransition where that makes no sense.

        `written` is the intent's id as the person writes it: dashed, in capitals, or only its beginning.
        """
        async with self._store.writing() as connection:
            before = await self._named(connection, written)
            after = before.resolved_by_human(state, at_ms, adjust_id=adjust_id, forced=forced)
            await self._replace(connection, before, after)
            return after

    async def episodes(self, owner: Owner) -> tuple[Episode, ...]:
        return tuple(episode_of(row) for row in await self._rows(queries.episodes_of(owner)))

    async def write_episode(self, owner: Owner, episode: Episode) -> None:
        """Keeps the latest episode of each loan: this one takes the place of an earlier."""
        async with self._store.writing(owner) as connection:
            await _put(connection, episodes, queries.episode_row(owner, episode))

    async def pauses(self) -> tuple[Pause, ...]:
        return tuple(pause_of(row) for row in await self._rows(queries.all_pauses()))

    async def pause(self, account: str | None, reason: str, at_ms: int) -> None:
        """Once this returns, no intent of the account (None: of any) is marked sent until it is resumed."""
        async with self._store.writing() as connection:
            await self._store.lock_pauses(connection, exclusive=True)
            # An earlier pause goes first, and its acknowledgements with it: this one has not been seen.
            await connection.execute(queries.no_pause(account))
            await connection.execute(
                insert(pauses).values(
                    account=stored_account(account), reason=storable(reason), since_ms=at_ms
                )
            )

    async def resume(self, account: str | None) -> bool:
        """Lifts the pause of the account, or (None) the one for all; False where there was none."""
        async with self._store.writing() as connection:
            return (await connection.execute(queries.no_pause(account))).rowcount > 0

    async def begin_run(self, run_id: str, at_ms: int) -> None:
        """Records a start of the daemon; runs that have been silent for a day are forgotten."""
        async with self._store.writing() as connection:
            await connection.execute(queries.forgotten_runs(at_ms - RUNS_KEPT_MS))
            await _put(connection, runs, _alive(run_id, at_ms))

    async def acknowledge_pauses(self, run_id: str, at_ms: int) -> tuple[Pause, ...]:
        """Says that the run is alive and obeys every pause; returns those that it had not seen before."""
        async with self._store.writing() as connection:
            await self._store.lock_pauses(connection, exclusive=False)
            await _put(connection, runs, _alive(run_id, at_ms), kept="started_at_ms")
            rows = _dicts(await connection.execute(queries.unacknowledged_by(run_id)))
            for row in rows:
                seen = {"account": row["account"], "run_id": run_id, "at_ms": at_ms}
                await connection.execute(insert(acknowledgements).values(seen))
            return tuple(pause_of(row) for row in rows)

    async def end_run(self, run_id: str, at_ms: int) -> None:
        async with self._store.writing() as connection:
            ended = {"alive_at_ms": at_ms, "ended_at_ms": at_ms}
            await connection.execute(update(runs).where(runs.c.run_id == run_id).values(ended))

    async def runs(self) -> tuple[Run, ...]:
        """Recent starts of the daemon, oldest first, with the pauses that each has acknowledged."""
        async with self._store.reading() as connection:
            found = _dicts(await connection.execute(queries.all_runs()))
            seen = _dicts(await connection.execute(select(acknowledgements)))
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
        async with self._store.writing() as connection:
            await _put(connection, bans, {"host": host, "until_ms": until_ms, "set_at_ms": at_ms})

    async def bans(self) -> tuple[Ban, ...]:
        """The latest ban of each host, over or not."""
        return tuple(Ban(**row) for row in await self._rows(queries.all_bans()))

    async def _intents(self, query: Select[Any]) -> tuple[Intent, ...]:
        return tuple(intent_of(row) for row in await self._rows(query))

    async def _rows(self, query: Select[Any]) -> list[dict[str, Any]]:
        async with self._store.reading() as connection:
            return _dicts(await connection.execute(query))

    async def _named(self, connection: AsyncConnection, written: str) -> Intent:
        rows = _dicts(await connection.execute(queries.one(written)))
        plain = written.strip().lower().removeprefix(OF_A_TRANSFER).replace("-", "")
        if not rows and plain:
            rows = _dicts(await connection.execute(queries.begins_with(plain)))
        if not rows:
            raise JournalUnavailable(f"{self._store.place} holds no intent {written}")
        if len(rows) > 1:
            ids = ", ".join(row["intent_id"] for row in rows)
            raise JournalUnavailable(
                f"more than one intent begins with {written}: {ids}. Write more of the id"
            )
        return intent_of(rows[0])

    async def _replace(self, connection: AsyncConnection, before: Intent, after: Intent) -> None:
        try:
            result = await connection.execute(queries.replaced(before.state, after))
        except IntegrityError as error:
            raise _refused(after, error) from error
        if result.rowcount != 1:
            await self._check_state(connection, after.intent_id, before.state)

    async def _check_state(self, connection: AsyncConnection, intent_id: str, expected: State) -> None:
        held = (await connection.execute(queries.state_of(intent_id))).scalar_one_or_none()
        if held != expected:
            raise JournalUnavailable(
                f"{self._store.place} holds intent {intent_id} as {held or 'unknown'}, not as {expected}: "
                "another program has written to it"
            )


def _dicts(found: Result[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in found.mappings()]


def _refused(intent: Intent, error: IntegrityError) -> GuardError:
    """What a constraint's violation means: both databases name the columns or the constraint."""
    words = str(error.orig)
    if "adjust_id" in words:
        return JournalUnavailable(
            f"intent {intent.intent_id} cannot have the adjust_id {intent.adjust_id}: "
            "another intent of that user has claimed it"
        )
    if "foreign key" in words.lower():
        return JournalUnavailable(
            f"intent {intent.intent_id} rescues {intent.rescue_of}, which the journal does not hold"
        )
    if "rescue_of" in words:
        return AlreadyOpen(f"intent {intent.rescue_of} has had its rescue")
    if "loan_id" in words or "uq_intents_open" in words:
        return AlreadyOpen(f"loan {intent.key.loan_id} has an open intent already")
    return JournalUnavailable(f"the journal refused intent {intent.intent_id}: {words.splitlines()[0]}")


def _alive(run_id: str, at_ms: int) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "host": storable(socket.gethostname(), LONGEST_ID),
        "pid": os.getpid(),
        "started_at_ms": at_ms,
        "alive_at_ms": at_ms,
    }


async def _put(connection: AsyncConnection, table: Table, row: dict[str, Any], *, kept: str = "") -> None:
    """Inserts the row, or makes the one with its key the same but for the column `kept`."""
    keys = {column.name for column in table.primary_key}
    changed = {name: value for name, value in row.items() if name not in keys | {kept}}
    if connection.dialect.name == "postgresql":
        upsert = postgresql.insert(table).values(row)
        await connection.execute(upsert.on_conflict_do_update(index_elements=sorted(keys), set_=changed))
    else:
        replacing = sqlite.insert(table).values(row)
        await connection.execute(replacing.on_conflict_do_update(index_elements=sorted(keys), set_=changed))
