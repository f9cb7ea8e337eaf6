"""Where the journal's tables live, as `SqlJournal` sees it: what it reads, writes and locks through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ltv_guard.adapters.journal.session import Session
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How a worker of a fleet shares a server: so many sessions, each cut off when idle in a transaction."""

    sessions: int
    idle_s: float


class Store(Protocol):
    """Everything async raises JournalUnavailable. `place` names it in a sentence, without any password."""

    place: str
    is_continuous: bool
    now_ms: str
    """Its clock as SQL: ms, at this very instant."""
    origin: str
    """As SQL: what is another once the database was brought back to before, or is another's copy."""
    json: str
    """As SQL, with the name of a text value that holds JSON."""
    locked_row: str
    """What a SELECT ends with whose rows nobody may change until the transaction ends."""

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` finds in a consistent view; never blocks a writer."""

    async def write(self, work: Callable[[Session], T], owner: Owner | None = None) -> T:
        """What `work` returns, in a transaction that is durable then.

        With `owner`: only while its claim holds. Whatever `work` raises undoes all of it.
        """

    async def claim(self, owner: Owner) -> None:
        """From now on no other daemon can write for `owner`."""

    def lock_pauses(self, session: Session, *, exclusive: bool) -> None:
        """Orders pausing and sending: whoever comes second sees what the first has written."""

    def shares_user(self, session: Session, owner: Owner) -> bool:
        """Whether no daemon claims `owner` for itself alone; until the transaction ends none can."""

    def note_sent(self, session: Session, intent: Intent) -> None:
        """Notes, within the transaction that makes it sent, that this intent is the last, and counts it."""

    async def seal(self) -> None:
        """Makes the journal continuous for the next start."""

    @property
    def restorations(self) -> Sequence[str]:
        """Why what was written may be lost, each time that this was found since it was opened."""

    @property
    def slow_jobs_ended(self) -> int:
        """How many long jobs, each with others waiting behind it, have ended, one way or the other."""

    async def close(self) -> None:
        """Ends connections, and gives back the lock that keeps a second daemon out."""
