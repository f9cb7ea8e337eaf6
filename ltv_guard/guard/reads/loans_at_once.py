"""Loans that prices put at their triggers: asked for by their ids in that moment, before a cycle does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.unawaited import heed

MOST = 3  # as many reads as there is room for beside those of a sweep
USE_WITHIN_MS = 1_000
TOGETHER_S = 0.01  # answers to requests that left at once come so far apart


@dataclass(frozen=True, slots=True)
class _Begun:
    reading: asyncio.Task[LoanBook]
    at: Moment


class LoansAtOnce:
    """Mutable, owned by one guard. What was asked for before something was sent, or ended, is of no use."""

    def __init__(self, clock: Clock, nothing_sent_since: Callable[[Moment], bool]) -> None:
        self._clock = clock
        self._nothing_sent_since = nothing_sent_since
        self._begun: dict[LoanKey, _Begun] = {}

    def begin(self, exchange: LoanExchange, keys: Iterable[LoanKey]) -> None:
        """Asks for them, but for those that are asked for already, and for no more than there is room for."""
        self._drop(key for key, begun in self._begun.items() if not self._is_of_use(begun))
        room = MOST - len(self.begun(exchange.product))
        for key in [key for key in keys if key not in self._begun][: max(0, room)]:
            self._begin(exchange, key)

    def begun(self, product: Product) -> list[LoanKey]:
        """Those that are asked for, or have come, and are of use."""
        return [key for key, item in self._begun.items() if key.product is product and self._is_of_use(item)]

    def not_taken(self, product: Product) -> set[LoanKey]:
        """The same, and those that take longer than they are of use: they are still to be looked at."""
        slow = {key for key, item in self._begun.items() if not item.reading.done()}
        return {key for key in slow if key.product is product}.union(self.begun(product))

    def reading(self, exchange: LoanExchange, key: LoanKey) -> asyncio.Task[LoanBook]:
        """The read of a loan: the one that was begun, or a new one. It goes on until it is taken."""
        begun = self._begun.get(key)
        if begun is None or not self._is_of_use(begun):
            self._drop([key])
            self._begin(exchange, key)
        return self._begun[key].reading

    def taken(self, keys: Iterable[LoanKey]) -> None:
        """The reads of these are not needed by anybody else, whatever they came to."""
        self._drop(keys)

    async def come(self, product: Product, within_s: float) -> dict[LoanKey, LoanBook]:
        """Takes those that have come; else the first that does within so long, and who comes with it.

        The others go on: one may have to wait for a second's reads.
        """
        if (readings := [self._begun[key].reading for key in self.begun(product)]) and within_s:
            if not any(reading.done() for reading in readings):
                await asyncio.wait(readings, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(readings, timeout=min(within_s, TOGETHER_S))
        found = self.there(product)
        for key in found:
            del self._begun[key]
        return found

    def there(self, product: Product) -> dict[LoanKey, LoanBook]:
        """Those that have come, and were not taken yet."""
        readings = {key: self._begun[key].reading for key in self.begun(product)}
        return {key: reading.result() for key, reading in readings.items() if reading.done()}

    async def close(self) -> None:
        """No cycle will come."""
        readings = [begun.reading for begun in self._begun.values()]
        self._drop(list(self._begun))
        await asyncio.gather(*readings, return_exceptions=True)

    def _begin(self, exchange: LoanExchange, key: LoanKey) -> None:
        reading = asyncio.ensure_future(exchange.loan(key))
        reading.add_done_callback(heed)
        self._begun[key] = _Begun(reading, self._clock.now())

    def _drop(self, keys: Iterable[LoanKey]) -> None:
        for key in list(keys):
            if (begun := self._begun.pop(key, None)) is not None:
                begun.reading.cancel()

    def _is_of_use(self, begun: _Begun) -> bool:
        reading = begun.reading
        if reading.done() and (reading.cancelled() or reading.exception() is not None):
            return False
        age_ms = self._clock.now().monotonic_ms - begun.at.monotonic_ms
        return age_ms <= USE_WITHIN_MS and self._nothing_sent_since(begun.at)


async def first_in_need(
    readings: Collection[asyncio.Task[LoanBook]], in_need: Callable[[LoanBook], bool] | None
) -> bool:
    """Until all have come, one has failed, or one is `in_need`, and who comes with it. Whether one is."""
    left = set(readings)
    while left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        if any(reading.cancelled() or reading.exception() for reading in done):
            return False
        if left and in_need is not None and any(in_need(reading.result()) for reading in done):
            await asyncio.wait(left, timeout=TOGETHER_S)
            return True
    return False
