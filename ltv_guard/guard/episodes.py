"""The episodes of the loans, as the journal keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.ports import Clock, Episode, Journal, Standing
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.unawaited import heed
from ltv_guard.log.alert_repeater import AlertRepeater


class Episodes:
    """Mutable, owned by one guard. `_writes` are those of this cycle, each made once the one before is."""

    def __init__(self, journal: Journal, clock: Clock, alerts: AlertRepeater, defects: Defects) -> None:
        self._journal = journal
        self._clock = clock
        self._alerts = alerts
        self._defects = defects
        self._writes: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()

    def read(self, standing: Standing) -> dict[LoanKey, Episode]:
        """The latest of each loan, open or closed."""
        for why in standing.odd_rows:
            self._alerts.once(("journal row", why), "warning", "journal_row_odd", why=why)
        return {item.key: item for item in standing.episodes}

    def keep(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        """Begins to write down those that the decisions open or close: all at once, for helping waits."""
        now_ms = self._clock.now().exchange_ms
        changed = [
            episode
            for decision in decisions
            if (episode := _changed(decision, snapshot.episodes.get(decision.loan.key), now_ms)) is not None
        ]
        if changed:
            snapshot.episodes.update({episode.key: episode for episode in changed})
            write = asyncio.create_task(self._write(owner, changed))
            write.add_done_callback(heed)
            self._writes.append(write)

    async def _write(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        async with self._turn:
            with self._defects.contained("keeping episodes"):
                await self._journal.write_episodes(owner, episodes)

    async def are_kept(self) -> None:
        """Waits until all that were begun by now are durable. Raises JournalUnavailable."""
        writes = tuple(self._writes)  # another lane may begin more
        if any(not write.done() for write in writes):
            await asyncio.wait(writes)
        for write in writes:
            write.result()

    def drop(self) -> None:
        """The cycle is over: what is left where it broke off is decided anew by the next."""
        writes, self._writes = self._writes, []
        for write in writes:
            write.cancel()


def _changed(decision: Decision, held: Episode | None, now_ms: int) -> Episode | None:
    """The episode that the decision opens or closes."""
    match decision.episode:
        case EpisodeChange.OPENS:
            return Episode(key=decision.loan.key, opened_at_ms=now_ms)
        case EpisodeChange.CLOSES if held is not None:
            return Episode(key=held.key, opened_at_ms=held.opened_at_ms, closed_at_ms=now_ms)
        case _:
            return None
