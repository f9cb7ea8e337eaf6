"""The market: USD prices at every moment, from the scenario's paths or set by hand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from ltv_guard.sandbox.scenario import STABLE, MarketPlan, PricePath

Prices = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant: server time, real seconds since the start of the sandbox, market time, USD prices."""

    time_ms: int
    real_s: Decimal
    market_s: Decimal
    prices: Prices


def price_at(plan: PricePath, market_s: Decimal) -> Decimal:
    """The USD price on the path's straight lines, rounded to its tick."""
    points = plan.path
    index = bisect_right(points, market_s, key=lambda point: point[0])
    if index == 0:
        exact = points[0][1]
    elif index == len(points):
        exact = points[-1][1]
    else:
        (start, low), (end, high) = points[index - 1], points[index]
        exact = low + (high - low) * (market_s - start) / (end - start)
    return (exact / plan.tick).quantize(Decimal(1), ROUND_HALF_UP) * plan.tick


class Market:
    """Prices over real time. The market's own time begins with `start` and runs `speed_up` times faster."""

    def __init__(self, plan: MarketPlan) -> None:
        self.plan = plan
        self.began_s: Decimal | None = None
        self._by_hand: dict[str, list[tuple[Decimal, Decimal | None]]] = {}

    @property
    def coins(self) -> set[str]:
        """Every coin that has a price."""
        return {*STABLE, *self.plan.coins, *self._by_hand}

    @property
    def length_s(self) -> Decimal:
        """When the last path ends, in market seconds."""
        return max(path.path[-1][0] for path in self.plan.coins.values())

    def start(self, real_s: Decimal) -> None:
        """Lets the market begin at this real time, unless it has begun."""
        if self.began_s is None:
            self.began_s = real_s

    def market_s(self, real_s: Decimal) -> Decimal:
        """The market time of a real time, in seconds since the start."""
        if self.began_s is None or real_s <= self.began_s:
            return Decimal(0)
        return (real_s - self.began_s) * self.plan.speed_up

    def price(self, coin: str, real_s: Decimal) -> Decimal:
        """The coin's USD price; one set by hand holds until another is, or until it is released."""
        by_hand = [price for since, price in self._by_hand.get(coin, []) if since <= real_s]
        if by_hand and by_hand[-1] is not None:
            return by_hand[-1]
        if coin in self.plan.coins:
            return price_at(self.plan.coins[coin], self.market_s(real_s))
        if coin in STABLE:
            return Decimal(1)
        raise KeyError(coin)

    def prices(self, real_s: Decimal) -> dict[str, Decimal]:
        """USD per coin at a real time."""
        return {coin: self.price(coin, real_s) for coin in sorted(self.coins)}

    def set_price(self, coin: str, price: Decimal | None, real_s: Decimal) -> None:
        """Holds the price from now on; None gives the coin back to its path."""
        if price is None and coin not in self.plan.coins and coin not in STABLE:
            raise KeyError(coin)
        self._by_hand.setdefault(coin, []).append((real_s, price))

    def turns(self, since_s: Decimal, until_s: Decimal) -> list[Decimal]:
        """The real times strictly between two looks at which a path bends.

        Between bends every price is a straight line and so an LTV is monotone: its extremes
        lie at the bends and at the looks, and no liquidation slips through between two ticks.
        """
        if self.began_s is None:
            return []
        bends = {at for path in self.plan.coins.values() for at, _ in path.path}
        times = sorted(self.began_s + at / self.plan.speed_up for at in bends)
        return [at for at in times if since_s < at < until_s]
