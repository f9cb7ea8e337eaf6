"""Loans that prices put at their triggers: of a list of several pages they are read first, by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.next_list import NextList

A_PAGE = 100  # so many are read in one request as soon as one is
MOST = 3  # as many reads as there is room for beside those of a sweep


class UrgentLoans:
    """Mutable, owned by one guard. A sweep under way is given up for them, though never twice in a row.

    `may_hurry`: nothing is open that a whole read has to settle. A book older than `longest_ms` is no ground
    to act on, and the others of a list are shown as that one had them. `following`: lists begun ahead.
    """

    def __init__(
        self,
        clock: Clock,
        defects: Defects,
        *,
        longest_ms: int,
        may_hurry: Callable[[], bool],
        following: NextList | None = None,
    ) -> None:
        self.following = following or NextList(clock)
        self._clock = clock
        self._defects = defects
        self._longest_ms = longest_ms
        self._may_hurry = may_hurry
        self._keys: set[LoanKey] = set()
        self._asked = asyncio.Event()
        self._last: dict[Product, LoanBook] = {}
        self._hurried: set[Product] = set()

    def ask(self, keys: Collection[LoanKey]) -> None:
        """These are wanted now; until the next read of all."""
        self._keys |= set(keys)
        self._asked.set()

    async def book(
        self, exchange: LoanExchange, begun: asyncio.Future[LoanBook] | None = None
    ) -> tuple[LoanBook, bool]:
        """All loans, and whether all were read: else only those that are urgent. Raises as `loans` does.

        `begun`: a read of all that was begun before.
        """
        sweeping = asyncio.ensure_future(exchange.loans()) if begun is None else begun
        try:
            with self._defects.contained("reading what is urgent"):
                if (book := await self._sooner(exchange, sweeping)) is not None:
                    self._hurried.add(exchange.product)
                    return book, False
            book = await sweeping
        finally:
            sweeping.cancel()
        self._last[exchange.product] = book
        self._hurried.discard(exchange.product)
        self._keys = {key for key in self._keys if key.product is not exchange.product}
        return book, True

    def has_many(self, product: Product) -> bool:
        """Whether the product's loans were more than one page, when all were read last."""
        last = self._last.get(product)
        return last is not None and len(last.loans) > A_PAGE

    async def _sooner(self, exchange: LoanExchange, sweeping: asyncio.Future[LoanBook]) -> LoanBook | None:
        """The last book with the urgent loans as they are now; None where the sweep is to be waited for."""
        last = self._last.get(exchange.product)
        if last is None or not self.has_many(exchange.product) or exchange.product in self._hurried:
            return None
        keys = await self._asked_before_the_end_of(sweeping, exchange.product)
        age_ms = self._clock.now().ms_since(last.began)
        if not keys or age_ms > self._longest_ms or not self._may_hurry():
            return None
        reading = asyncio.gather(*(exchange.loan(key) for key in keys))
        either: set[asyncio.Future[Any]] = {reading, sweeping}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if sweeping.done():
                return None
            read = await reading
        except (ExchangeUnavailable, NeedsHuman):
            return None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        for key, one in zip(keys, read, strict=True):
            last = last.with_loan(key, one)
        return last

    async def _asked_before_the_end_of(
        self, sweeping: asyncio.Future[LoanBook], product: Product
    ) -> list[LoanKey]:
        while not (keys := [key for key in self._keys if key.product is product][:MOST]):
            self._asked.clear()
            asked = asyncio.ensure_future(self._asked.wait())
            either: set[asyncio.Future[Any]] = {sweeping, asked}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if sweeping.done():
                return []
        return keys
