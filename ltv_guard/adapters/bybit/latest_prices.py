"""The latest price of each coin that is followed: what is old, ahead of time or not asked for is dropped."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.bybit.stream_wire import Tick
from ltv_guard.adapters.bybit.ticker_wire import QUOTE

OFF_MS = 3_000  # a tick that was made so long before or after now is of another time


class LatestPrices:
    """Mutable, owned by one price stream. `prices` are USD per coin; that of the quote coin is always 1."""

    def __init__(self, clock: ExchangeClock) -> None:
        self._clock = clock
        self._told: dict[str, tuple[int, int]] = {}
        self._moved: set[str] = set()
        self.prices: dict[str, Decimal] = {QUOTE: Decimal(1)}
        self.coins: frozenset[str] = frozenset()

    def follow(self, coins: Collection[str]) -> None:
        """Replaces what was followed before."""
        self.coins = frozenset(coins) - {QUOTE}
        for name in self.prices.keys() - self.coins - {QUOTE}:
            del self.prices[name]

    def forget(self) -> None:
        """After a fault nothing of before tells what a price is now."""
        self._told.clear()
        self._moved.clear()
        self.prices = {QUOTE: Decimal(1)}

    def take(self, tick: Tick) -> bool:
        """Whether it is worth anything."""
        stamp = (tick.at_ms, tick.sequence)
        if tick.coin not in self.coins or not self._is_of_now(tick):
            return False
        if stamp < self._told.get(tick.coin, stamp):
            return False
        self._told[tick.coin] = stamp
        if self.prices.get(tick.coin) != tick.price:
            self.prices[tick.coin] = tick.price
            self._moved.add(tick.coin)
        return True

    @property
    def has_moved(self) -> bool:
        """Whether `moved` has anything to tell."""
        return bool(self._moved)

    def moved(self) -> frozenset[str]:
        """The coins that have another price than when this was last asked."""
        moved, self._moved = frozenset(self._moved), set()
        return moved & self.prices.keys()

    def _is_of_now(self, tick: Tick) -> bool:
        if not self._clock.is_trusted:
            return True
        return abs(self._clock.now().exchange_ms - tick.at_ms) <= OFF_MS
