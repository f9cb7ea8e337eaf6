"""Which loans of an account reach their triggers as prices move: a tick costs two comparisons. No I/O.

Each coin has a band around its price of the last evaluation. While all prices are within their bands, no
loan can reach its trigger. Only when a price leaves its band are the sorted lines looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.watch.pair_lines import PairLines, pair_of
from ltv_guard.core.watch.pool_ltv import PoolLtv, ways_to_reckon
from ltv_guard.core.watch.watched import Watched

QUOTE = "USDT"  # in which prices are told: its own is 1
CAREFUL = Decimal("0.999999")  # a band is narrower than it could be: its square root is rounded
Band = tuple[Decimal, Decimal]


class TriggerIndex:
    """Mutable, owned by the price watch; made anew from each read. Prices are USD per coin."""

    def __init__(self, watched: Collection[Watched] = ()) -> None:
        self._parts = _parts(watched)
        self._bands: dict[str, Band] = {}
        self._nearest = min((item.gap for item in watched), default=None)
        self.coins = frozenset(coin for part in self._parts for coin in part.coins) - {QUOTE}

    def crossed(self, prices: Mapping[str, Decimal], moved: Iterable[str]) -> frozenset[LoanKey]:
        """The loans that reach their trigger by these prices, and did not before; `moved`: whose changed."""
        if all(self._holds(coin, prices) for coin in moved):
            return frozenset()
        found = frozenset(key for part in self._parts for key in part.move(prices))
        self._bands = self._drawn(prices)
        return found

    def gap(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """The part by which prices may fall before the nearest loan is at its trigger; None: no loan.

        By prices and by the LTVs that were read, whichever is less: prices alone make nobody feel safe.
        """
        gaps = [part.gap(prices) for part in self._parts]
        return min((gap for gap in (*gaps, self._nearest) if gap is not None), default=None)

    def _holds(self, coin: str, prices: Mapping[str, Decimal]) -> bool:
        if coin not in self.coins:
            return True
        band = self._bands.get(coin)
        return band is not None and band[0] < prices[coin] < band[1]

    def _drawn(self, prices: Mapping[str, Decimal]) -> dict[str, Band]:
        """A ratio of two prices stays within its slack while each stays within the square root of it."""
        roots: dict[str, Decimal] = {}
        for part in self._parts:
            slack = part.slack(prices)
            if slack is None:
                continue
            root = slack.sqrt() * CAREFUL if slack.is_finite() else slack
            for coin in part.coins:
                roots[coin] = min(root, roots.get(coin, root))
        return {
            coin: (prices[coin] / root, prices[coin] * root)
            for coin, root in roots.items()
            if coin in prices and root > 1
        }


def _parts(watched: Collection[Watched]) -> list[PairLines | PoolLtv]:
    orders: dict[tuple[str, str], list[Watched]] = {}
    pools: list[PairLines | PoolLtv] = []
    for item in watched:
        pair = pair_of(item.loan)
        if pair is not None and pair[0] != pair[1]:
            orders.setdefault(pair, []).append(item)
        else:
            pools += ways_to_reckon(item)
    return [*(PairLines.of(pair, items) for pair, items in orders.items()), *pools]
