"""The lists of all products, read at once: one that takes much longer than it did holds no other up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.core.ports import Clock

Found = tuple[LoanBook | None, bool]  # what could be read of a product; whether that is all of it
Read = Callable[[], Coroutine[Any, Any, Found]]

A_FEW = 3  # times as long as the first one took
TWICE = 2  # as long as the fastest of its last ones took
LAST = 5  # those that hung are no measure
TAKEN_WITHIN_MS = 7_000  # so long a cycle adjusts; what came longer ago is read anew
APART_S = 2.0  # so long a cycle that went on without one waits for it at its end


@dataclass(slots=True)
class _ListRead:
    task: asyncio.Task[Found]
    is_late: bool = False
    came: Moment | None = None
    goes_on: Moment | None = None  # since a page of it came

    @property
    def found(self) -> Found | None:
        """None: not come, nor will it where it was cancelled."""
        return None if not self.task.done() or self.task.cancelled() else self.task.result()

    @property
    def has_loans(self) -> bool:
        """Whether it came, and could be read."""
        return self.found is not None and self.found[0] is not None


class LateLists:
    """Mutable, owned by one guard. A list that a cycle goes on without is read on for the next one.

    `wait_s`: so long one may take in any case, or its next page; `grace_s`: how much longer than another once
    one was late.
    """

    def __init__(self, clock: Clock, *, wait_s: float, grace_s: float) -> None:
        self._clock = clock
        self._wait_s = wait_s
        self._grace_s = grace_s
        self._readings: dict[Product, _ListRead] = {}
        self._took_ms: dict[Product, tuple[int, ...]] = {}  # the last ones
        self._crossed: set[Product] = set()
        self._news = asyncio.Event()

    async def come(self, reads: Mapping[Product, Read]) -> tuple[dict[Product, Found], float | None]:
        """Those that came in time; how long the others were waited for (s), None: prices ended it."""
        began = self._clock.now()
        crossed, self._crossed = self._crossed, set()
        for product, read in reads.items():
            self._begin(product, read, is_crossed=product in crossed)
        try:
            while self._some_are_waited_for and (left_s := self._patience_s(began)) != 0:
                await self._hear(left_s)
            is_overdue = self._some_are_waited_for
        finally:
            for reading in self._readings.values():
                reading.is_late = reading.found is None
        found = {name: item.found for name, item in self._readings.items() if item.found is not None}
        self._readings = {name: item for name, item in self._readings.items() if item.is_late}
        return found, self._clock.now().ms_since(began) / 1000 if is_overdue else None

    def crossed(self, products: AbstractSet[Product]) -> None:
        """Prices put loans of these at their triggers: once it was read, the next cycle has to begin."""
        self._crossed |= products
        self._news.set()

    def goes_on(self, product: Product) -> None:
        """A page of its list has come."""
        if (reading := self._readings.get(product)) is not None:
            reading.goes_on = self._clock.now()

    async def late_ones_come(self) -> bool:
        """Waits a moment for what the cycle went on without. False: there was nothing."""
        if not self._readings:
            return False
        if self._some_are_to_come == len(self._readings) and not self._crossed:
            await self._hear(APART_S)
        return True

    async def close(self) -> None:
        """No cycle will come."""
        tasks = [reading.task for reading in self._readings.values() if reading.is_late]  # else a cycle waits
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, product: Product, read: Read, *, is_crossed: bool) -> None:
        before = self._readings.get(product)
        if before is None or not self._is_of_use(before):
            has_failed = before is not None and not before.has_loans
            self._follow(product, _ListRead(asyncio.create_task(read()), is_late=has_failed))
        elif is_crossed and before.came is None:  # one of now may come sooner than what hangs
            either = _first_of(before.task, asyncio.create_task(read()))
            self._follow(product, _ListRead(asyncio.create_task(either), is_late=True))

    def _follow(self, product: Product, reading: _ListRead) -> None:
        self._readings[product] = reading

        def came(_: asyncio.Task[Found]) -> None:
            reading.came = self._clock.now()
            book, is_whole = reading.found or (None, False)
            if book is not None and is_whole:
                took_ms = reading.came.ms_since(book.began)
                self._took_ms[product] = (*self._took_ms.get(product, ()), took_ms)[-LAST:]
            self._took_ms.setdefault(product, (0,))
            self._news.set()

        reading.task.add_done_callback(came)

    def _is_of_use(self, reading: _ListRead) -> bool:
        """One that failed is of none: it was told of when it did, and is read anew."""
        if reading.came is None:
            return True
        return reading.has_loans and self._clock.now().ms_since(reading.came) <= TAKEN_WITHIN_MS

    @property
    def _some_are_to_come(self) -> int:
        return sum(not reading.task.done() for reading in self._readings.values())

    @property
    def _some_are_waited_for(self) -> bool:
        crossed = (item for product, item in self._readings.items() if product in self._crossed)
        return bool(self._some_are_to_come) and not any(item.has_loans for item in crossed)

    def _patience_s(self, began: Moment) -> float | None:
        """How much longer the others are waited for. None: to their ends, for one was never read before."""
        came = [item.came for item in self._readings.values() if item.has_loans and item.came is not None]
        missing = [(product, item) for product, item in self._readings.items() if not item.task.done()]
        if not came or any(product not in self._took_ms for product, _ in missing):
            return None
        first_ms = max(0, min(moment.ms_since(began) for moment in came))
        since = max((item.goes_on or began for _, item in missing), key=_by_time)
        if any(reading.is_late for reading in self._readings.values()):
            since, longest_ms = began, first_ms + self._grace_s * 1000
        else:
            usual_ms = max(min(self._took_ms[product]) for product, _ in missing)
            longest_ms = max(self._wait_s * 1000, A_FEW * first_ms, TWICE * usual_ms)
        return max(0.0, longest_ms - self._clock.now().ms_since(since)) / 1000

    async def _hear(self, within_s: float | None) -> None:
        """Until one has come, or prices have crossed a trigger, or so long."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()


async def _first_of(*tasks: asyncio.Task[Found]) -> Found:
    """What comes first with loans; else what came last."""
    found: Found = (None, False)
    try:
        for coming in asyncio.as_completed(tasks):
            found = await coming
            if found[0] is not None:
                break
    finally:
        for task in tasks:
            task.cancel()
    return found


def _by_time(moment: Moment) -> int:
    return moment.monotonic_ms
