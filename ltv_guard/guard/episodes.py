"""The episodes of the loans, as the journal keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.ports import Clock, Episode, Journal, Standing
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.unwritten_episodes import UnwrittenEpisodes
from ltv_guard.log.alert_repeater import AlertRepeater


class Episodes:
    """None of a loan is helped before its own is durable: the adjustment's commit takes it along."""

    def __init__(
        self, journal: Journal, unwritten: UnwrittenEpisodes, clock: Clock, alerts: AlertRepeater
    ) -> None:
        self._journal = journal
        self._unwritten = unwritten
        self._clock = clock
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

    async def write_others(self, owner: Owner) -> None:
        """Those that no adjustment took along. Raises JournalUnavailable."""
        if self._unwritten:
            await self._unwritten.write(partial(self._journal.write_episodes, owner))


def _changed(decision: Decision, held: Episode | None, now_ms: int) -> Episode | None:
    """The episode that the decision opens or closes."""
    match decision.episode:
        case EpisodeChange.OPENS:
            return Episode(key=decision.loan.key, opened_at_ms=now_ms)
        case EpisodeChange.CLOSES if held is not None:
            return Episode(key=held.key, opened_at_ms=held.opened_at_ms, closed_at_ms=now_ms)
        case _:
            return None
