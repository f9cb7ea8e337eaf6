"""The lists of all products, read at once: one that takes much longer than it did holds no other up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from statistics import median_low
from typing import Any

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.core.ports import Clock

Found = tuple[LoanBook | None, bool]  # what could be read of a product; whether that is all of it
Read = Callable[[], Coroutine[Any, Any, Found]]

A_FEW = 3  # times as long as the first one took
TWICE = 2  # as long as it takes as a rule
LAST = 5  # of which a few may have hung
TAKEN_WITHIN_MS = 10_000  # so long a cycle adjusts; what came longer ago is read anew
APART_S = 2.0  # so long a cycle that went on without one waits for it at its end


class _ListRead:
    """One list, asked for once, or once more beside that: the first answer that has loans counts.

    `least_ms`: so long one before it took, which nobody had time for.
    """

    def __init__(
        self, read: Read, clock: Clock, heard: Callable[[], None], *, is_late: bool = False, least_ms: int = 0
    ) -> None:
        self.began = clock.now()
        self.is_late = is_late
        self.least_ms = least_ms
        self.came: Moment | None = None
        self.found: Found | None = None  # or (None, False), where no answer had loans
        self.goes_on: Moment | None = None  # since a page of it came
        self._clock = clock
        self._heard = heard
        self._is_wanted = True
        self._tasks: list[asyncio.Task[Found]] = []
        self.ask(read)

    @property
    def has_loans(self) -> bool:
        """Whether it came, and could be read."""
        return self.found is not None and self.found[0] is not None

    def ask(self, read: Read) -> None:
        """Asks for it now, where at most the first is under way: none is given up.

        Not once the first has failed: then all end soon, and it is read anew.
        """
        first, again = self._tasks[:1], [task for task in self._tasks[1:] if not task.done()]
        if again or any(task.done() for task in first):
            return
        self._tasks = [*first, asyncio.create_task(read())]
        self._tasks[-1].add_done_callback(self._ended)

    def cancel(self) -> list[asyncio.Task[Found]]:
        """What has been asked for and is not wanted any more."""
        self._is_wanted = False
        for task in self._tasks:
            task.cancel()
        return self._tasks

    def _ended(self, task: asyncio.Task[Found]) -> None:
        if not self._is_wanted:
            return
        has_failed = task.cancelled() or task.exception() is not None  # cut off by whoever, it is read anew
        found = (None, False) if has_failed else task.result()
        if found[0] is not None or all(other.done() for other in self._tasks):
            self.found, self.came = found, self._clock.now()
            self.cancel()
            self._heard()


class LateLists:
    """Mutable, owned by one guard. A list that a cycle goes on without is read on for the next one.

    What reads a list raises nothing. `wait_s`: so long one may take in any case, or its next page; `grace_s`:
    how much longer than another once it is late, or where prices press.
    """

    def __init__(self, clock: Clock, *, wait_s: float, grace_s: float) -> None:
        self._clock = clock
        self._wait_s = wait_s
        self._grace_s = grace_s
        self._readings: dict[Product, _ListRead] = {}
        self._took_ms: dict[Product, tuple[int, ...]] = {}  # the last ones
        self._crossed: set[Product] = set()  # since the lists were asked for
        self._crossed_before: set[Product] = set()
        self._news = asyncio.Event()
        self._is_waited_for = self._has_ended = False

    async def come(self, reads: Mapping[Product, Read]) -> dict[Product, Found]:
        """Those that came in time. The others are read on, unless no cycle will come."""
        self._news = asyncio.Event()  # of the loop that this cycle runs in
        self._crossed_before, self._crossed = self._crossed, set()
        for product, read in reads.items():
            self._begin(product, read, is_crossed=product in self._crossed_before)
        began, was_late = self._clock.now(), any(item.is_late for item in self._readings.values())
        self._is_waited_for = True
        try:
            while self._missing and (left_s := self._patience_s(began)) != 0:
                await self._hear(left_s)
        finally:
            self._is_waited_for = False
            for reading in self._missing.values():
                reading.is_late |= not was_late
            if self._has_ended:
                await self.close()
        found = {name: item for name, item in self._readings.items() if item.found is not None}
        for product, item in found.items():
            self._note_time(product, item)
        self._readings = self._missing
        return {product: item.found for product, item in found.items() if item.found is not None}

    @property
    def left(self) -> dict[Product, float | None]:
        """Those that the cycle goes on without; of the late ones, for how long they have been read (s)."""
        now = self._clock.now()
        return {
            product: now.ms_since(item.began) / 1000 if item.is_late else None
            for product, item in self._readings.items()
        }

    def crossed(self, products: AbstractSet[Product]) -> None:
        """Prices put loans of these at their triggers: once it was read, the next cycle has to begin."""
        self._crossed |= products
        self._news.set()

    def ask_once_more(self, product: Product, read: Read) -> None:
        """Where a cycle waits for this one: beside what it waits for."""
        if self._is_waited_for and product in self._missing:
            self._readings[product].ask(read)

    def goes_on(self, product: Product) -> None:
        """A page of its list has come."""
        if (reading := self._readings.get(product)) is not None:
            reading.goes_on = self._clock.now()

    @property
    def one_has_come(self) -> bool:
        """Whether one that the cycle goes on without could be taken by the next."""
        return any(reading.has_loans for reading in self._readings.values())

    async def late_ones_come(self) -> bool:
        """Waits a moment for what the cycle went on without. False: there was nothing."""
        if not self._readings:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(APART_S):
                while not (self.one_has_come or self._crossed or self._has_ended):
                    await self._hear(None)
        return True

    async def close(self) -> None:
        """No cycle will come; one that is under way has what it waits for."""
        self._has_ended = True
        if not self._is_waited_for:
            tasks = [task for reading in self._readings.values() for task in reading.cancel()]
            await asyncio.gather(*tasks, return_exceptions=True)
        self._news.set()

    def _begin(self, product: Product, read: Read, *, is_crossed: bool) -> None:
        before = self._readings.get(product)
        if before is not None and before.came is None:
            if is_crossed:  # one of now may come sooner than what hangs
                before.ask(read)
        elif before is not None and not before.has_loans:  # that was told when it failed
            self._readings[product] = self._read(read, is_late=True)
        elif before is None or self._clock.now().ms_since(before.came or before.began) > TAKEN_WITHIN_MS:
            took_ms = 0 if before is None else (before.came or before.began).ms_since(before.began)
            self._readings[product] = self._read(read, least_ms=took_ms)

    def _note_time(self, product: Product, reading: _ListRead) -> None:
        book, is_whole = reading.found or (None, False)
        if book is not None and is_whole and reading.came is not None:
            took_ms = reading.came.ms_since(book.began)
            self._took_ms[product] = (*self._took_ms.get(product, ()), took_ms)[-LAST:]
        self._took_ms.setdefault(product, (0,))

    def _read(self, read: Read, *, is_late: bool = False, least_ms: int = 0) -> _ListRead:
        return _ListRead(read, self._clock, self._has_news, is_late=is_late, least_ms=least_ms)

    @property
    def _missing(self) -> dict[Product, _ListRead]:
        return {product: item for product, item in self._readings.items() if item.found is None}

    def _patience_s(self, began: Moment) -> float | None:
        """How much longer the others are waited for. None: to their ends, for one was never read before.

        Once what was late has come, as long as one that is late: it has waited for long enough.
        """
        came = [item.came for item in self._readings.values() if item.came is not None]
        if not came or any(product not in self._took_ms for product in self._missing):
            return None
        first_ms = max(0, min(moment.ms_since(began) for moment in came))
        if any(item.is_late for item in self._readings.values()):
            left_ms = first_ms + self._grace_s * 1000 - self._clock.now().ms_since(began)
        else:
            left_ms = max(self._left_ms(name, item, first_ms) for name, item in self._missing.items())
        return max(0.0, left_ms) / 1000

    def _left_ms(self, product: Product, reading: _ListRead, first_ms: int) -> float:
        as_a_rule_ms = median_low(self._took_ms[product])
        grace_ms, wait_ms = self._grace_s * 1000, self._wait_s * 1000
        if self._has_come(self._crossed):
            least_ms, longest_ms = grace_ms, min(as_a_rule_ms + grace_ms, wait_ms)
        elif self._has_come(self._crossed_before):
            least_ms, longest_ms = wait_ms, wait_ms
        else:
            least_ms, longest_ms = wait_ms, TWICE * as_a_rule_ms
        longest_ms = max(longest_ms, A_FEW * first_ms, reading.least_ms + least_ms)
        return longest_ms - self._clock.now().ms_since(reading.goes_on or reading.began)

    def _has_come(self, products: AbstractSet[Product]) -> bool:
        return any(item.has_loans for product, item in self._readings.items() if product in products)

    def _has_news(self) -> None:
        self._news.set()

    async def _hear(self, within_s: float | None) -> None:
        """Until one has come, or prices have crossed a trigger, or so long."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()
