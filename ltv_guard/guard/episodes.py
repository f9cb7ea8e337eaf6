"""The episodes of the loans, as the journal keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.ports import Clock, Episode, Journal
from ltv_guard.guard.snapshot import Snapshot


class Episodes:
    """Raises JournalUnavailable."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def recall(self, owner: Owner) -> dict[LoanKey, Episode]:
        """The latest of each loan, open or closed."""
        return {item.key: item for item in await self._journal.episodes(owner)}

    async def keep(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        """Writes down those that the decisions open or close."""
        now_ms = self._clock.now().exchange_ms
        for decision in decisions:
            key = decision.loan.key
            if decision.episode is EpisodeChange.OPENS:
                episode = Episode(key=key, opened_at_ms=now_ms)
            elif decision.episode is EpisodeChange.CLOSES:
                opened = snapshot.episodes[key].opened_at_ms
                episode = Episode(key=key, opened_at_ms=opened, closed_at_ms=now_ms)
            else:
                continue
            await self._journal.write_episode(owner, episode)
            snapshot.episodes[key] = episode
