"""A journal to rehearse on: reads are real, writes are forgotten. For `plan`, which may change nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Episode, Journal, Pause, Standing


class Rehearsal:
    """Implements ports.Journal over another one."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def restorations(self) -> Sequence[str]:
        return self._journal.restorations

    async def standing(self, owner: Owner) -> Standing:
        return await self._journal.standing(owner)

    async def recent_intents(self, owner: Owner, since_ms: int) -> tuple[Intent, ...]:
        return await self._journal.recent_intents(owner, since_ms)

    async def pauses(self) -> tuple[Pause, ...]:
        return await self._journal.pauses()

    async def plan(self, intent: Intent) -> None:
        """Forgotten."""

    async def mark_sent(self, intent: Intent, episode: Episode | None = None) -> bool:  # noqa: ARG002 - the port's signature
        """Nothing is ever sent in a rehearsal."""
        return False

    async def write_sent(self, intent: Intent, episode: Episode | None = None) -> bool:  # noqa: ARG002 - the port's signature
        """Nothing is ever sent in a rehearsal."""
        return False

    async def record(self, before: Intent, after: Intent) -> None:
        """Forgotten."""

    async def write_episodes(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        """Forgotten."""
