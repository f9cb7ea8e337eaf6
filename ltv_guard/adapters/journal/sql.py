"""The journal in a database: SQLite by default, PostgreSQL where several machines share one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ltv_guard.adapters.journal import statements
from ltv_guard.adapters.journal.outbox import SqlOutbox
from ltv_guard.adapters.journal.own_outbox import OwnOutbox
from ltv_guard.adapters.journal.records import (
    check_is_planned,
    check_is_sent,
    episode_row,
    intent_of,
    owner_row,
    row_of,
)
from ltv_guard.adapters.journal.samples import SqlSamples
from ltv_guard.adapters.journal.session import Row, Session, Violation
from ltv_guard.adapters.journal.sql_standing import SqlStanding
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.model.errors import AlreadyOpen, GuardError, ImpossibleTransition, JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Episode

T = TypeVar("T")

OF_A_TRANSFER = "selftransfer_"  # stands before our own id where the exchange lists transfers


class SqlJournal(SqlStanding):
    """Implements `ports.Journal`, and what the commands need. Made by `open_journal`; close it with `close`.

    Every method raises JournalUnavailable; every write is durable when it returns.
    """

    def __init__(self, store: Store, *, is_new: bool) -> None:
        super().__init__(store)
        self._is_new = is_new

    @property
    def outbox(self) -> SqlOutbox:
        """What people are to be told: of every daemon that uses this journal."""
        return SqlOutbox(self._store)

    def outbox_of(self, names: Sequence[str]) -> OwnOutbox:
        """The same of one daemon alone, which `names` tell from the others."""
        return OwnOutbox(self.outbox, names)

    @property
    def samples(self) -> SqlSamples:
        """LTVs and prices of the last week."""
        return SqlSamples(self._store)

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

    @property
    def slow_jobs_ended(self) -> int:
        """While a file is locked or its disk slow, this grows: whoever waits for the journal gets on."""
        return self._store.slow_jobs_ended

    async def close(self) -> None:
        """Waits for writes that are under way, then lets go of the database and of its lock."""
        await self._store.close()

    async def seal(self) -> None:
        """To be called once window and margins have passed and every account's history has been read.

        From then on a restart finds the journal continuous, unless the file is exchanged for another.
        """
        await self._store.seal()

    async def claim(self, owner: Owner) -> None:
        """Makes this daemon the only one that writes for `owner`. To be called before anything is planned."""
        await self._store.claim(owner)

    async def claim_for(self, account: str, owner: Owner) -> None:  # noqa: ARG002 - a fleet's asks for its lease
        """The same, of an account whose user has become known."""
        await self.claim(owner)

    async def recent_intents(self, owner: Owner, since_ms: int) -> tuple[Intent, ...]:
        return await self._intents(statements.RECENT_OF, owner_row(owner) | {"since_ms": since_ms})

    async def list_intents(self, limit: int | None = None) -> tuple[Intent, ...]:
        """Of every owner, newest first."""
        if limit is None:
            return await self._intents(statements.NEWEST_FIRST)
        return await self._intents(statements.NEWEST_FEW, {"limit": limit})

    async def plan(self, intent: Intent) -> None:
        check_is_planned(intent)
        await self._write_for(intent.owner, lambda session: _insert(session, statements.PLANNED, intent))

    async def write_sent(self, intent: Intent, episode: Episode | None = None) -> bool:
        check_is_sent(intent)

        def insert(session: Session) -> bool:
            self._store.lock_pauses(session, exclusive=False)
            if not _insert(session, statements.SENT_AT_ONCE, intent):
                return False
            _put(session, intent.owner, episode)
            self._note_sent(session, intent)
            return True

        return await self._write_for(intent.owner, insert)

    async def mark_sent(self, intent: Intent, episode: Episode | None = None) -> bool:
        check_is_sent(intent)
        row = row_of(intent) | {"expected": State.PLANNED.value}

        def mark(session: Session) -> bool:
            self._store.lock_pauses(session, exclusive=False)
            if session.execute(statements.SENT_UNLESS_PAUSED, row) == 1:
                _put(session, intent.owner, episode)
                self._note_sent(session, intent)
                return True
            self._check_state(session, intent.intent_id, State.PLANNED)
            return False

        return await self._write_for(intent.owner, mark)

    async def record(self, before: Intent, after: Intent) -> None:
        if after.state is State.SENT:
            raise ImpossibleTransition(f"intent {after.intent_id}: only mark_sent makes it sent")
        await self._write_for(after.owner, lambda session: self._replace(session, before, after))

    async def resolve(
        self, written: str, state: State, at_ms: int, *, adjust_id: str | None = None, forced: bool = False
    ) -> Intent:
        """Writes how a person says it ended. Raises ImpossibleTransition where that makes no sense.

        `written` is the intent's id as the person writes it: dashed, in capitals, or only its beginning.
        """

        def resolved(session: Session) -> Intent:
            before = self._named(session, written)
            after = before.resolved_by_human(state, at_ms, adjust_id=adjust_id, forced=forced)
            self._replace(session, before, after)
            return after

        return await self._store.write(resolved)

    async def write_episodes(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        """Keeps the latest episode of each loan: these take the place of earlier ones."""

        def put(session: Session) -> None:
            for episode in episodes:
                _put(session, owner, episode)

        await self._write_for(owner, put)

    async def _write_for(self, owner: Owner, work: Callable[[Session], T]) -> T:
        """Every write for a user that its daemon makes: only while it is the daemon's own."""
        return await self._store.write(work, owner=owner)

    def _note_sent(self, session: Session, intent: Intent) -> None:
        """The last thing that the transaction does which marks an intent sent."""
        self._store.note_sent(session, intent)

    def _named(self, session: Session, written: str) -> Intent:
        rows = session.rows(statements.ONE, {"intent_id": written})
        plain = written.strip().lower().removeprefix(OF_A_TRANSFER).replace("-", "")
        if not rows and plain:
            rows = session.rows(statements.BEGINS_WITH, {"written": plain, "length": len(plain)})
        return self._the_one(rows, written)

    def _the_one(self, rows: list[Row], written: str) -> Intent:
        if not rows:
            raise JournalUnavailable(f"{self._store.place} holds no intent {written}")
        if len(rows) > 1:
            ids = ", ".join(row["intent_id"] for row in rows)
            raise JournalUnavailable(
                f"more than one intent begins with {written}: {ids}. Write more of the id"
            )
        return intent_of(rows[0])

    def _replace(self, session: Session, before: Intent, after: Intent) -> None:
        row = row_of(after) | {"expected": before.state.value}
        try:
            touched = session.execute(statements.REPLACED, row)
        except Violation as error:
            raise _refused(after, error) from error.__cause__
        if touched != 1:
            self._check_state(session, after.intent_id, before.state)

    def _check_state(self, session: Session, intent_id: str, expected: State) -> None:
        held = next(
            (row["state"] for row in session.rows(statements.STATE_OF, {"intent_id": intent_id})), None
        )
        if held != expected:
            raise JournalUnavailable(
                f"{self._store.place} holds intent {intent_id} as {held or 'unknown'}, not as {expected}: "
                "another program has written to it"
            )


def _insert(session: Session, statement: str, intent: Intent) -> bool:
    """Whether it was inserted. Raises AlreadyOpen, JournalUnavailable."""
    try:
        return session.execute(statement, row_of(intent)) == 1
    except Violation as error:
        raise _refused(intent, error) from error.__cause__


def _put(session: Session, owner: Owner, episode: Episode | None) -> None:
    if episode is not None:
        session.execute(statements.PUT_EPISODE, episode_row(owner, episode))


def _refused(intent: Intent, error: Violation) -> GuardError | Violation:
    """What a constraint's violation means: both databases name the columns or the constraint."""
    words = str(error)
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
    if "intents" in words:
        return JournalUnavailable(f"the journal refused intent {intent.intent_id}: {words.splitlines()[0]}")
    return error
