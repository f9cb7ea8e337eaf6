"""What goes wrong in a replay because somebody asked for it. Pure values."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.reconcile.settlement import SettlementTimeouts

NEVER = 2**62  # ms: later than any price
WAITS = SettlementTimeouts()
ANSWERED_MS = TIMING.request_timeout_ms  # an answer that has not come by then is lost
WINDOW_MS = TIMING.recv_window_ms + WAITS.processing_margin_ms
ABSENT_MS = WINDOW_MS + WAITS.history_lag_ms  # by then two reads of the history have lacked it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """Nothing, where nothing is said. Times and spans are the exchange's, ms.

    `ban`: from when until when neither a read nor a write comes through. `lost_answers`: the share of
    adjustments whose answer is lost; of those, by a throw of dice, one half took effect and the other never
    arrived. `full`: coins of which the platform takes no more. `index_lag_ms`: so long after a price the
    exchange shows it; it liquidates at once. `poll_ms`: how often the guard looks.
    """

    ban: tuple[int, int] | None = None
    lost_answers: Decimal = Decimal(0)
    full: frozenset[str] = frozenset()
    index_lag_ms: int = 0
    poll_ms: int = 1

    def fate(self, seed: int, number: int) -> Fate:
        """What becomes of the n-th adjustment: the same for the same seed."""
        dice = random.Random(f"{seed}/{number}")  # noqa: S311 - chance that can be had again, no secret
        lost, arrives = dice.random() < self.lost_answers, dice.random() < 1 / 2
        return Fate(answered=not lost, arrives=arrives or not lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Whether an adjustment reaches the exchange, and its answer the guard."""

    answered: bool = True
    arrives: bool = True


NONE = Stress()
