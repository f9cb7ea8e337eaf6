"""Which server, at which point of its history, a session talks to: what was written may be lost there.

A failover may bring back a server that lacks the last commits, though the program that made them runs on. So
every new session is compared with those before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ltv_guard.core.model.loans import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOrigin:
    """What one session shows: the server's own number, its timeline (None: may not be asked), our counts."""

    system: int | None
    timeline: int | None
    sent: Mapping[Owner, int] = field(default_factory=dict)


async def origin_of(connection: Any) -> JournalOrigin:  # noqa: ANN401 - a driver's connection, which has no types
    """Asks a session of asyncpg. Raises what the driver raises."""
    counts = {}
    if await connection.fetchval("SELECT to_regclass('sent_counts')") is not None:
        rows = await connection.fetch("SELECT environment, user_id, sent FROM sent_counts")
        counts = {Owner(row["environment"], row["user_id"]): row["sent"] for row in rows}
    return JournalOrigin(
        system=await _where_allowed(connection, "system_identifier", "pg_control_system()"),
        timeline=await _where_allowed(connection, "timeline_id", "pg_control_checkpoint()"),
        sent=counts,
    )


async def _where_allowed(connection: Any, column: str, function: str) -> int | None:  # noqa: ANN401 - as above
    if not await connection.fetchval("SELECT has_function_privilege($1, 'EXECUTE')", function):
        return None
    found: int | None = await connection.fetchval(f"SELECT {column} FROM {function}")  # noqa: S608 - our own words
    return found


class Lineage:
    """What the sessions have shown so far. `place` names the journal in a sentence."""

    def __init__(self, place: str) -> None:
        self.restorations: list[str] = []
        self._place = place
        self._system: int | None = None
        self._timeline: int | None = None
        self._sent: dict[Owner, int] = {}

    def has_sent(self, owner: Owner, count: int) -> None:
        """Hears of a commit that has marked an intent sent: so many there were with it."""
        self._sent[owner] = max(count, self._sent.get(owner, 0))

    def meet(self, origin: JournalOrigin) -> None:
        """Holds a new session against those before. What was lost is noted once, and from then on normal."""
        why = self._why_not_the_same(origin)
        if why is None:
            for owner, count in origin.sent.items():
                self.has_sent(owner, count)
        else:
            self.restorations.append(why)
            self._sent = dict(origin.sent)
        self._system = origin.system if origin.system is not None else self._system
        self._timeline = origin.timeline if origin.timeline is not None else self._timeline

    def _why_not_the_same(self, origin: JournalOrigin) -> str | None:
        if None not in {self._system, origin.system} and self._system != origin.system:
            return f"{self._place} is answered for by another server than before"
        lost = sum(max(0, count - origin.sent.get(owner, 0)) for owner, count in self._sent.items())
        if lost:
            return f"{self._place} was brought back to before: {lost} sent adjustment(s) are missing in it"
        if None not in {self._timeline, origin.timeline} and self._timeline != origin.timeline:
            return f"{self._place} failed over (timeline {origin.timeline} after {self._timeline})"
        return None
