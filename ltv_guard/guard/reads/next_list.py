"""The next cycle's list of loans, read while this one still runs: so much sooner the next one decides.

While this one adjusts a long list, or where prices have crossed a trigger since this one asked for its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.reads.history_reads import AT_ONCE_MS
from ltv_guard.guard.unawaited import heed

TAKEN_WITHIN_MS = 5_000  # a list that was begun longer ago is read anew
KEPT_WITHIN_MS = 3_000  # and one that a cycle leaves for the next has to be younger: that one takes its time


@dataclass(frozen=True, slots=True)
class Begun:
    """A list that is being read, or has been.

    `is_urgent`: prices crossed a trigger. It is of use only where nothing was sent since.
    """

    list: asyncio.Future[LoanBook]
    at: Moment
    is_urgent: bool = False


class NextList:
    """Mutable, owned by one guard. One list a product, for one cycle.

    `nothing_sent_since`: a moment.
    """

    def __init__(
        self,
        clock: Clock,
        nothing_sent_since: Callable[[Moment], bool] = lambda _: True,
    ) -> None:
        self._clock = clock
        self._nothing_sent_since = nothing_sent_since
        self._begun: dict[Product, Begun] = {}
        self._has_ended = False

    def is_there(self, exchange: LoanExchange) -> bool:
        """Whether it has been read, or can't be. Begins to read it, unless that was begun."""
        begun = self._begun.get(exchange.product) or self._begin(exchange)
        return begun.list.done()

    async def comes(self, exchange: LoanExchange, within_s: float) -> bool:
        """The same, waited for; not begun anew by that."""
        if not self.is_there(exchange) and within_s:
            await asyncio.wait({self._begun[exchange.product].list}, timeout=within_s)
        return self.is_there(exchange)

    def lend(self, exchange: LoanExchange) -> Begun:
        """What is being read for the next cycle, to the one that waits for its own."""
        if (begun := self.take(exchange.product)) is None:
            begun = self._begin(exchange, is_urgent=True)
            del self._begun[exchange.product]
        return begun

    def give_back(self, product: Product, begun: Begun) -> None:
        """It was not needed: the next cycle has it, unless none comes."""
        if self._has_ended or product in self._begun:
            begun.list.cancel()
        else:
            self._begun[product] = begun

    def read_now(self, exchange: LoanExchange) -> None:
        """Prices have crossed a trigger, and the cycle under way saw those of before."""
        begun = self._begun.get(exchange.product)
        will_do = begun is not None and not (begun.is_urgent and not self._is_of_use(begun))
        if not will_do and self._nothing_sent_since(self._clock.now()):
            self._drop(exchange.product)
            self._begin(exchange, is_urgent=True)

    def of_now(self, reading: asyncio.Future[LoanBook]) -> Begun:
        """A list that a cycle itself has just begun to read."""
        return Begun(reading, self._clock.now())

    def keep(self, product: Product, begun: Begun) -> None:
        """The next cycle goes on with it, for this one acts before it is whole."""
        begun.list.add_done_callback(heed)
        self._drop(product)
        self._begun[product] = begun

    def may_keep(self, begun: Begun) -> bool:
        """Whether it is new enough for that."""
        return self._clock.now().ms_since(begun.at) <= KEPT_WITHIN_MS

    def _begin(self, exchange: LoanExchange, *, is_urgent: bool = False) -> Begun:
        reading = asyncio.ensure_future(exchange.loans())
        reading.add_done_callback(heed)
        begun = replace(self.of_now(reading), is_urgent=is_urgent)
        self._begun[exchange.product] = begun
        return begun

    def take(self, product: Product) -> Begun | None:
        """What was begun for this cycle; None: nothing that is of use."""
        begun = self._begun.get(product)
        if begun is None or not self._is_of_use(begun):
            self._drop(product)
            return None
        return self._begun.pop(product)

    def _is_of_use(self, begun: Begun) -> bool:
        age_ms = self._clock.now().monotonic_ms - begun.at.monotonic_ms
        if age_ms > (AT_ONCE_MS if begun.is_urgent and begun.list.done() else TAKEN_WITHIN_MS):
            return False
        if begun.is_urgent and not self._nothing_sent_since(begun.at):
            return False
        return not begun.list.done() or not (begun.list.cancelled() or begun.list.exception())

    def _drop(self, product: Product) -> None:
        if (begun := self._begun.pop(product, None)) is not None:
            begun.list.cancel()

    async def close(self) -> None:
        """No cycle will come."""
        self._has_ended = True
        lists = [begun.list for begun in self._begun.values()]
        self._begun.clear()
        for reading in lists:
            reading.cancel()
        await asyncio.gather(*lists, return_exceptions=True)
