"""How fast prices fall, and how soon an order would be liquidated if they went on like that. No I/O.

Where there is one turn to write for many, the one whose time ends first goes first: of loans that need one
turn each no other order saves more, if all ends are known. These are guesses: whose price stands still now
is taken to fall slowly all the same, so that of one coin's orders the worst is always the first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter

from ltv_guard.core.model.loans import Loan
from ltv_guard.core.watch.pair_lines import Pair, pair_of, ratio_of

SLOWEST = Decimal("0.001")  # a second: so fast each price is taken to fall at least
LEAST_SPAN_MS, MOST_SPAN_MS = 700, 5_000  # over which a speed is taken
LONGEST_SILENCE_MS = 2_000  # prices that nobody told of for longer may have been others
SOON_S = 1  # for so long a price goes on as it does now
LATELY_MS = 20_000  # over which it ranged
REMEMBERED_MS = 30_000  # no loan that is acted on was read longer ago
Prices = Mapping[str, Decimal]


@dataclass(slots=True)
class Falling:
    """Mutable: prices as they were told lately (USD a coin), the oldest first."""

    _told: deque[tuple[int, Prices]] = field(default_factory=deque)
    _speeds: dict[Pair, tuple[Decimal, Decimal]] = field(default_factory=dict)
    _ratios: dict[Pair, list[tuple[int, Decimal, Decimal]]] = field(default_factory=dict)
    _shown: dict[tuple[Pair, int], Decimal] = field(default_factory=dict)

    def saw(self, prices: Prices, now_ms: int) -> None:
        """Prices of this moment (monotonic)."""
        while self._told and now_ms - self._told[0][0] > REMEMBERED_MS:
            self._told.popleft()
        for key in [key for key in self._shown if now_ms - key[1] > REMEMBERED_MS]:
            del self._shown[key]
        self._told.append((now_ms, dict(prices)))  # they may be those of a stream, which go on
        self._speeds.clear()
        self._ratios.clear()

    def worst(self, pair: Pair, since_ms: int) -> Decimal | None:
        """The lowest price of the collateral, in coins of the debt, told since then; None where none was."""
        told = self._ratios_of(pair)
        index = bisect_left(told, since_ms, key=itemgetter(0))
        return told[index][2] if index < len(told) else None

    def at(self, pair: Pair, at_ms: int) -> Decimal | None:
        """That price as it was told last by then, or has been shown since; None where neither was."""
        if (shown := self._shown.get((pair, at_ms))) is not None:
            return shown
        told = self._ratios_of(pair)
        index = bisect_right(told, at_ms, key=itemgetter(0)) - 1
        return told[index][1] if index >= 0 and at_ms - told[index][0] <= LONGEST_SILENCE_MS else None

    def showed(self, pair: Pair, at_ms: int, price: Decimal) -> None:
        """At which price loans were read then: more exactly than it was told."""
        self._shown[pair, at_ms] = price

    def _ratios_of(self, pair: Pair) -> list[tuple[int, Decimal, Decimal]]:
        """When prices were told, the oldest first: the ratio then, and the lowest from then on."""
        if pair not in self._ratios:
            found: list[tuple[int, Decimal, Decimal]] = []
            for at_ms, prices in reversed(self._told):
                if ratio := ratio_of(pair, prices):
                    found.append((at_ms, ratio, min(ratio, found[-1][2]) if found else ratio))
            self._ratios[pair] = found[::-1]
        return self._ratios[pair]

    def speeds(self, loan: Loan) -> tuple[Decimal, Decimal]:
        """Shares of its collateral's price, in coins of its debt, lost in a second: now, and soon."""
        pair = pair_of(loan)
        if pair is None or not self._told:
            return SLOWEST, SLOWEST
        if pair not in self._speeds:
            self._speeds[pair] = self._speed_of(pair), self._range_of(pair)
        return self._speeds[pair]

    def _speed_of(self, pair: Pair) -> Decimal:
        now_ms, now = self._told[-1]
        spans = (item for item in reversed(self._told) if now_ms - item[0] >= LEAST_SPAN_MS)
        then = next((item for item in spans if now_ms - item[0] <= MOST_SPAN_MS), None)
        before, after = None if then is None else ratio_of(pair, then[1]), ratio_of(pair, now)
        if then is None or not before or after is None:
            return SLOWEST
        return max(SLOWEST, (1 - after / before) * 1000 / (now_ms - then[0]))

    def _range_of(self, pair: Pair) -> Decimal:
        now_ms, told = self._told[-1][0], self._ratios_of(pair)
        lately = told[bisect_left(told, now_ms - LATELY_MS, key=itemgetter(0)) :]
        if not lately or now_ms - lately[0][0] < LEAST_SPAN_MS:
            return SLOWEST
        highest = max(ratio for _, ratio, _ in lately)
        return max(SLOWEST, (1 - lately[0][2] / highest) * 1000 / (now_ms - lately[0][0]))


def seconds_left(danger: Decimal, now: Decimal, soon: Decimal) -> Decimal:
    """Until a loan is liquidated, its `danger` (LTV / liquidation LTV) growing at those speeds.

    Below 0 where it should be by now: the less, the further beyond.
    """
    left = 1 - danger
    if left <= 0:
        return left
    return left / now if left <= now * SOON_S else SOON_S + (left - now * SOON_S) / soon
