"""The next cycle's list of loans, read while this one still adjusts: a long list costs no turn to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Product
from ltv_guard.core.ports import Clock, LoanExchange

TAKEN_WITHIN_MS = 5_000  # a list that was begun longer ago is read anew


@dataclass(frozen=True, slots=True)
class Begun:
    """A list that is being read, or has been; `prices`: as a stream told them when that began."""

    list: asyncio.Future[LoanBook]
    prices: Mapping[str, Decimal]
    at_ms: int


class NextList:
    """Mutable, owned by one guard. One list a product, for one cycle."""

    def __init__(self, clock: Clock, prices: Callable[[], Mapping[str, Decimal]] = dict) -> None:
        self._clock = clock
        self._prices = prices
        self._begun: dict[Product, Begun] = {}

    def is_there(self, exchange: LoanExchange) -> bool:
        """Whether it has been read, or can't be. Begins to read it, unless that was begun."""
        begun = self._begun.get(exchange.product)
        if begun is None:
            reading = asyncio.ensure_future(exchange.loans())
            reading.add_done_callback(_heed)
            begun = Begun(reading, dict(self._prices()), self._clock.now().monotonic_ms)
            self._begun[exchange.product] = begun
        return begun.list.done()

    def take(self, product: Product) -> Begun | None:
        """What was begun for this cycle; None: nothing that is of use."""
        begun = self._begun.pop(product, None)
        if begun is None:
            return None
        is_old = self._clock.now().monotonic_ms - begun.at_ms > TAKEN_WITHIN_MS
        failed = begun.list.done() and (begun.list.cancelled() or begun.list.exception() is not None)
        if is_old or failed:
            begun.list.cancel()
            return None
        return begun

    async def close(self) -> None:
        """No cycle will come."""
        lists = [begun.list for begun in self._begun.values()]
        self._begun.clear()
        for reading in lists:
            reading.cancel()
        await asyncio.gather(*lists, return_exceptions=True)


def _heed(reading: asyncio.Future[LoanBook]) -> None:
    """Whoever takes it hears of what it raised; nobody may."""
    if not reading.cancelled():
        reading.exception()
