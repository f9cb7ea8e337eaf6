"""What a coin is worth where prices lack, or part from what they were a moment ago. Pure.

A pool's position implies prices of its own: what it says that a coin counts for, less the haircut. They need
no ticker, and a ticker that parts from them is the odd one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.reconcile.plausibility import NEAR, parted

FRESH_MS = 600_000  # so long a price is worth comparing another with
UNTOLD = Decimal("2.5")  # so large a factor may be a haircut that the terms do not tell
STOOD_MS = 30_000  # a price that has parted and stays for so long is the price


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPrice:
    """The last price (USD) of a coin that was believed, and since when `other` has stood in its place.

    Times are monotonic, ms.
    """

    price: Decimal
    at_ms: int
    other: Decimal | None = None
    other_since_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """Prices to reckon with, USD a coin. Of `doubted` ones at most a part of the need is added at a time."""

    prices: Mapping[str, Decimal]
    doubted: frozenset[str] = frozenset()
    parted: frozenset[str] = field(default=frozenset())


def quoted(
    read: Mapping[str, Decimal],
    again: Mapping[str, Decimal] | None,
    known: Mapping[str, LastPrice],
    implied: Mapping[str, Decimal],
    now_ms: int,
) -> Quotes:
    """The tickers' prices, checked against the pool's own numbers, the last prices and a second read, if any.

    `parted` are those that a second read has yet to bear out.
    """
    prices, doubted, unsure = {**read, **(again or {})}, set(), set()
    for coin, price in implied.items():
        last = known.get(coin)
        if coin in prices and parted(prices[coin], price) <= NEAR:
            continue
        if coin in prices and last is not None and parted(prices[coin], last.price) <= NEAR:
            # Ticker and last price agree: a haircut that the terms do not tell, or its numbers are odd.
            if parted(prices[coin], price) > UNTOLD:
                doubted.add(coin)
            continue
        prices[coin] = price
    for coin in prices.keys() - implied.keys():
        first, second = read.get(coin), None if again is None else again.get(coin)
        last = known.get(coin)
        recent = last is not None and now_ms - last.at_ms <= FRESH_MS
        if last is not None and recent and parted(prices[coin], last.price) <= NEAR:
            continue
        if second is None or first is None:
            unsure.add(coin)
            doubted.add(coin)
        elif parted(first, second) > NEAR:
            prices[coin] = max(first, second)  # the one that asks for fewer coins
            doubted.add(coin)
        elif last is not None and recent and not _has_stood(last, second, now_ms):
            doubted.add(coin)
    return Quotes(prices=prices, doubted=frozenset(doubted), parted=frozenset(unsure))


def _has_stood(last: LastPrice, price: Decimal, now_ms: int) -> bool:
    same = last.other is not None and parted(last.other, price) <= NEAR
    return same and now_ms - last.other_since_ms >= STOOD_MS


def learnt(known: Mapping[str, LastPrice], quotes: Quotes, now_ms: int) -> dict[str, LastPrice]:
    """What is remembered of prices after a read: a doubted one does not take the last one's place."""
    found = dict(known)
    for coin, price in quotes.prices.items():
        last = known.get(coin)
        if coin not in quotes.doubted:
            found[coin] = LastPrice(price=price, at_ms=now_ms)
        elif coin not in quotes.parted and last is not None:
            same = last.other is not None and parted(last.other, price) <= NEAR
            since = last.other_since_ms if same else now_ms
            found[coin] = LastPrice(price=last.price, at_ms=last.at_ms, other=price, other_since_ms=since)
    return found
