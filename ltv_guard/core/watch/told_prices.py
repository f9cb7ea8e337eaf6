"""Prices as they were told lately: what they were at the moment at which a loan was asked for. No I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter

Prices = Mapping[str, Decimal]
APART_MS = 50  # of prices that come closer together the last stand for all
REMEMBERED_MS = 40_000  # no list takes longer to read than four requests may


@dataclass(frozen=True, slots=True, eq=False)
class PricesThen:
    """USD a coin, at one moment. Equal is the same object alone: what follows from it is found by it."""

    prices: Prices


NOT_TOLD = PricesThen({})


@dataclass(slots=True)
class ToldPrices:
    """Mutable: USD a coin, the oldest first. What was told last holds until other prices are told."""

    _told: list[tuple[int, PricesThen]] = field(default_factory=list)

    def saw(self, prices: Prices, now_ms: int) -> None:
        """Prices of this moment (monotonic)."""
        told = self._told
        if told and told[-1][1].prices == prices:
            return
        if told and now_ms - told[-1][0] < APART_MS:
            now_ms, _ = told.pop()
        told.append((now_ms, PricesThen(dict(prices))))  # they are those of a stream, which go on
        while len(told) > 1 and told[1][0] <= now_ms - REMEMBERED_MS:
            del told[0]

    def at(self, at_ms: int) -> PricesThen:
        """As they had been told by then; the oldest that are known for a moment before; none where none were.

        The same object for all moments between two that were told.
        """
        index = bisect_right(self._told, at_ms, key=itemgetter(0)) - 1
        return self._told[max(0, index)][1] if self._told else NOT_TOLD
