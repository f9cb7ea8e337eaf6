"""What a journal in memory holds. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from ltv_guard.adapters.journal.records import Ban, Run
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.ports import Episode, Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that a journal holds at one instant: what would be left on the disk."""

    intents: dict[str, Intent] = field(default_factory=dict)
    episodes: dict[tuple[Owner, LoanKey], Episode] = field(default_factory=dict)
    pauses: dict[str | None, Pause] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    bans: dict[str, Ban] = field(default_factory=dict)
    sealed: bool = False

    def copied(self) -> Self:
        """The same, which what is written to this one does not change."""
        return replace(
            self,
            intents=dict(self.intents),
            episodes=dict(self.episodes),
            pauses=dict(self.pauses),
            runs=dict(self.runs),
            bans=dict(self.bans),
        )
