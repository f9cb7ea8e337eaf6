"""The episodes of the loans, as the journal keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.ports import Clock, Episode, Journal, Standing
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.log.alert_repeater import AlertRepeater


class Episodes:
    """Raises JournalUnavailable."""

    def __init__(self, journal: Journal, clock: Clock, alerts: AlertRepeater) -> None:
        self._journal = journal
        self._clock = clock
        self._alerts = alerts

    def read(self, standing: Standing) -> dict[LoanKey, Episode]:
        """The latest of each loan, open or closed."""
        for why in standing.odd_rows:
            self._alerts.once(("journal row", why), "warning", "journal_row_odd", why=why)
        return {item.key: item for item in standing.episodes}

    async def keep(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        """Writes down those that the decisions open or close: all at once, for they hold up what follows."""
        now_ms = self._clock.now().exchange_ms
        changed = [
            episode
            for decision in decisions
            if (episode := _changed(decision, snapshot.episodes.get(decision.loan.key), now_ms)) is not None
        ]
        if changed:
            await self._journal.write_episodes(owner, changed)
            snapshot.episodes.update({episode.key: episode for episode in changed})


def _changed(decision: Decision, held: Episode | None, now_ms: int) -> Episode | None:
    """The episode that the decision opens or closes."""
    match decision.episode:
        case EpisodeChange.OPENS:
            return Episode(key=decision.loan.key, opened_at_ms=now_ms)
        case EpisodeChange.CLOSES if held is not None:
            return Episode(key=held.key, opened_at_ms=held.opened_at_ms, closed_at_ms=now_ms)
        case _:
            return None
