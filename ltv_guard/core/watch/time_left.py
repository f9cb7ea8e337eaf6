"""How fast prices fall, and how soon an order would be liquidated if they went on like that. No I/O.

Where there is one turn to write for many, the one whose time ends first goes first: of loans that need one
turn each no other order saves more, if all ends are known. These are guesses: whose price stands still now
is taken to fall slowly all the same, so that of one coin's orders the worst is always the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.loans import Loan
from ltv_guard.core.watch.pair_lines import Pair, pair_of, ratio_of

SLOWEST = Decimal("0.001")  # a second: so fast each price is taken to fall at least
LEAST_SPAN_MS, MOST_SPAN_MS = 700, 5_000  # over which a speed is taken
Prices = Mapping[str, Decimal]


@dataclass(slots=True)
class Falling:
    """Mutable: prices as they were told lately (USD a coin), the oldest first."""

    _told: deque[tuple[int, Prices]] = field(default_factory=deque)
    _speeds: dict[Pair, Decimal] = field(default_factory=dict)

    def saw(self, prices: Prices, now_ms: int) -> None:
        """Prices of this moment (monotonic)."""
        while self._told and now_ms - self._told[0][0] > MOST_SPAN_MS:
            self._told.popleft()
        self._told.append((now_ms, prices))
        self._speeds.clear()

    def speed(self, loan: Loan) -> Decimal:
        """The share of its collateral's price, in coins of its debt, that is lost in a second now."""
        pair = pair_of(loan)
        if pair is None or not self._told:
            return SLOWEST
        if pair not in self._speeds:
            self._speeds[pair] = self._speed_of(pair)
        return self._speeds[pair]

    def _speed_of(self, pair: Pair) -> Decimal:
        now_ms, now = self._told[-1]
        then = next((item for item in reversed(self._told) if now_ms - item[0] >= LEAST_SPAN_MS), None)
        before, after = None if then is None else ratio_of(pair, then[1]), ratio_of(pair, now)
        if then is None or not before or after is None:
            return SLOWEST
        return max(SLOWEST, (1 - after / before) * 1000 / (now_ms - then[0]))


def seconds_left(danger: Decimal, speed: Decimal) -> Decimal:
    """Until a loan is liquidated, its `danger` (LTV / liquidation LTV) growing at that speed.

    Below 0 where it should be by now: the less, the further beyond.
    """
    left = 1 - danger
    return left / speed if left > 0 else left
