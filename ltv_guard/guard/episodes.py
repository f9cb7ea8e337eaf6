"""The episodes of the loans, as the journal keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.ports import Clock, Episode, Journal, Standing
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.unwritten_episodes import UnwrittenEpisodes
from ltv_guard.log.alert_repeater import AlertRepeater


class Episodes:
    """No adjustment of a loan leaves before its episode is durable: the commit takes it along."""

    def __init__(
        self,
        journal: Journal,
        unwritten: UnwrittenEpisodes,
        clock: Clock,
        defects: Defects,
        alerts: AlertRepeater,
    ) -> None:
        self._journal = journal
        self._unwritten = unwritten
        self._clock = clock
        self._defects = defects
        self._alerts = alerts

    def read(self, standing: Standing) -> dict[LoanKey, Episode]:
        """The latest of each loan, open or closed: as the journal holds them."""
        self._unwritten.forget()
        for why in standing.odd_rows:
            self._alerts.once(("journal row", why), "warning", "journal_row_odd", why=why)
        return {item.key: item for item in standing.episodes}

    def note(self, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        """Those that the decisions open or close. They wait to be written."""
        now_ms = self._clock.now().exchange_ms
        changed = [
            episode
            for decision in decisions
            if (episode := _changed(decision, snapshot.episodes.get(decision.loan.key), now_ms)) is not None
        ]
        self._unwritten.add(changed)
        snapshot.episodes.update({episode.key: episode for episode in changed})

    @asynccontextmanager
    async def written_after(self, owner: Owner) -> AsyncIterator[None]:
        """After the block those that no adjustment took along, also where it fails.

        Raises JournalUnavailable.
        """
        try:
            yield
        except JournalUnavailable:
            raise
        except Exception:
            await self._write_rest(owner)
            raise
        await self._write_rest(owner)

    async def _write_rest(self, owner: Owner) -> None:
        with self._defects.contained("keeping episodes"):
            await self._unwritten.write_rest(partial(self._journal.write_episodes, owner))


def _changed(decision: Decision, held: Episode | None, now_ms: int) -> Episode | None:
    """The episode that the decision opens or closes."""
    match decision.episode:
        case EpisodeChange.OPENS:
            return Episode(key=decision.loan.key, opened_at_ms=now_ms)
        case EpisodeChange.CLOSES if held is not None:
            return Episode(key=held.key, opened_at_ms=held.opened_at_ms, closed_at_ms=now_ms)
        case _:
            return None
