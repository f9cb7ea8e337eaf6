"""The episodes of the loans, as the journal keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.ports import Clock, Episode, Journal, Standing
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.unawaited import heed
from ltv_guard.log.alert_repeater import AlertRepeater


class Episodes:
    """Mutable, owned by one guard. `_writes` are those of this cycle."""

    def __init__(self, journal: Journal, clock: Clock, alerts: AlertRepeater, defects: Defects) -> None:
        self._journal = journal
        self._clock = clock
        self._alerts = alerts
        self._defects = defects
        self._writes: list[asyncio.Task[None]] = []

    def read(self, standing: Standing) -> dict[LoanKey, Episode]:
        """The latest of each loan, open or closed, as a cycle begins: what failed before is decided anew."""
        self._writes = []
        for why in standing.odd_rows:
            self._alerts.once(("journal row", why), "warning", "journal_row_odd", why=why)
        return {item.key: item for item in standing.episodes}

    def keep(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        """Begins to write down those that the decisions open or close: all at once, for sending waits."""
        now_ms = self._clock.now().exchange_ms
        changed = [
            episode
            for decision in decisions
            if (episode := _changed(decision, snapshot.episodes.get(decision.loan.key), now_ms)) is not None
        ]
        if changed:
            snapshot.episodes.update({episode.key: episode for episode in changed})
            write = asyncio.create_task(self._write(owner, changed, after=tuple(self._writes)))
            write.add_done_callback(heed)
            self._writes.append(write)

    async def _write(
        self, owner: Owner, episodes: Sequence[Episode], *, after: Collection[asyncio.Task[None]]
    ) -> None:
        if after:  # one that opens and one that closes may be of the same loan
            await asyncio.wait(after)
        with self._defects.contained("keeping episodes"):
            await self._journal.write_episodes(owner, episodes)

    async def are_kept(self) -> None:
        """Waits until all that were begun by now are durable. Raises JournalUnavailable."""
        writes = tuple(self._writes)  # another lane may begin more
        await self.are_written()
        for write in writes:
            write.result()

    async def are_written(self) -> None:
        """Waits until they are, or failed."""
        if writes := [write for write in self._writes if not write.done()]:
            await asyncio.wait(writes)


def _changed(decision: Decision, held: Episode | None, now_ms: int) -> Episode | None:
    """The episode that the decision opens or closes."""
    match decision.episode:
        case EpisodeChange.OPENS:
            return Episode(key=decision.loan.key, opened_at_ms=now_ms)
        case EpisodeChange.CLOSES if held is not None:
            return Episode(key=held.key, opened_at_ms=held.opened_at_ms, closed_at_ms=now_ms)
        case _:
            return None
