"""What a closer look will want, read beside the loans where prices, or the last cycle, say that one comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.core.ports import Clock
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.closer_look import CloserLook, Wanted
from ltv_guard.guard.reads.history_reads import AT_HAND_MS
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.guard.unawaited import heed

AHEAD_MS = 500  # what was read so long before the loans were, prices for one, is read anew
LONGEST_MS = 5_000  # a reading that takes longer is given up
EMERGENCY_WAIT_S = 0.2  # an emergency has an older wallet to go by
TURNS_AFTER_LOANS = 4  # of the loop: by then the request for loans, which is to be first, has left


@dataclass(slots=True)
class _AheadOfNeed:
    found: Snapshot
    began: Moment
    task: asyncio.Task[None]
    all_but_prices: asyncio.Future[None]


class ReadAhead:
    """Mutable, owned by one guard. `wanted_of` says what a closer look at the loans of a snapshot wants.

    It is of use only where nothing was sent since it began: what is sent moves coins.
    """

    def __init__(
        self,
        closer_look: CloserLook,
        wanted_of: Callable[[Snapshot], Wanted],
        intents: IntentBook,
        clock: Clock,
        defects: Defects,
        *,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._closer_look = closer_look
        self._wanted_of = wanted_of
        self._intents = intents
        self._clock = clock
        self._defects = defects
        self._has_room = has_room
        self._books: Mapping[Product, LoanBook] = {}
        self._reading: _AheadOfNeed | None = None

    def saw(self, books: Mapping[Product, LoanBook]) -> None:
        """These a closer look would be taken at; where one product lacks, its last ones."""
        self._books = {**self._books, **books}

    def begin(self) -> None:
        """Reads now, unless it just does so, or something is open, or it would have to wait.

        Where accounts wait for each other's requests, what is read ahead is too old once the loans are read.
        """
        if self._reading is not None and self._is_of_now(self._reading):
            return
        if not self._has_room():
            return
        self.drop()
        if not self._books or not self._intents.none_is_open():
            return
        with self._defects.contained("reading ahead"):
            found = Snapshot()
            wanted = self._wanted_of(Snapshot(books=dict(self._books)))
            most = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._read(found, wanted, most))
            task.add_done_callback(heed)
            self._reading = _AheadOfNeed(found, self._clock.now(), task, most)

    async def _read(self, found: Snapshot, wanted: Wanted, most: asyncio.Future[None]) -> None:
        for _ in range(TURNS_AFTER_LOANS):
            await asyncio.sleep(0)
        await self._closer_look.read(found, wanted, ahead=most)

    def begin_anew(self) -> None:
        """Reads beside loans that are asked for now: what was begun too long before them is of no use."""
        if self._reading is not None and self._age_ms(self._reading) > AHEAD_MS:
            self.drop()
        self.begin()

    def drop(self) -> None:
        """Nobody needs it."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.task.cancel()

    def not_needed(self, snapshot: Snapshot) -> None:
        """Loans that were read since it began ask for nothing."""
        if self._reading is not None and self._reading.began.monotonic_ms <= _read_ms(snapshot):
            self.drop()

    async def take(self, snapshot: Snapshot, wanted: Wanted) -> bool:
        """Adds what was read ahead, where that is all that is wanted. False: it adds nothing.

        It is kept: a cycle that comes right after this one may take it too.
        """
        reading = self._reading
        if reading is None:
            return False
        if self._is_of_before(reading, snapshot):
            self.drop()
            return False
        left_ms = max(0, LONGEST_MS - self._age_ms(reading))
        wait_s = left_ms / 1000 if wanted.spare is None else EMERGENCY_WAIT_S
        if not await self._comes(reading, wait_s, wanted) or not self._is_enough(reading, snapshot, wanted):
            self.drop()
            return False
        found = reading.found
        snapshot.wallet, snapshot.wallet_began = found.wallet, found.wallet_began
        snapshot.asked_coins, snapshot.unified = found.asked_coins, found.unified
        snapshot.fill_unread(wanted.spare)
        snapshot.prices = found.prices
        snapshot.histories |= found.histories
        snapshot.asked |= found.asked
        if late := {key: since for key, since in wanted.histories.items() if key not in found.histories}:
            await self._closer_look.read_on(snapshot, late)
        return True

    async def _comes(self, reading: _AheadOfNeed, within_s: float, wanted: Wanted) -> bool:
        """Whether it has been read within so long: all of it, or all but prices that can be done without."""
        if wanted.needs_prices:
            await asyncio.wait({reading.task}, timeout=within_s)
            return reading.task.done()
        either: set[asyncio.Future[None]] = {reading.task, reading.all_but_prices}
        await asyncio.wait(either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if reading.all_but_prices.done():
            await asyncio.wait({reading.task}, timeout=self._closer_look.grace_s)
        return reading.task.done() or reading.all_but_prices.done()

    def _is_enough(self, reading: _AheadOfNeed, snapshot: Snapshot, wanted: Wanted) -> bool:
        found = reading.found
        task = reading.task
        if found.wallet is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            return False
        unified_is_there = wanted.unified is None or (
            found.unified is not None and wanted.unified <= found.unified.keys()
        )
        return (
            not self._is_of_before(reading, snapshot)
            and wanted.coins <= found.asked_coins
            and unified_is_there
            and wanted.histories.keys() <= found.asked  # a closer look does not wait for a slow one either
            and (found.prices is not None or not wanted.needs_prices)
        )

    def _is_of_before(self, reading: _AheadOfNeed, snapshot: Snapshot) -> bool:
        """Whether it began too long before the loans were read, or something was sent since."""
        began = reading.began
        too_long = _read_ms(snapshot) - began.monotonic_ms > AHEAD_MS
        return too_long or not self._intents.nothing_sent_since(began)

    def _is_of_now(self, reading: _AheadOfNeed) -> bool:
        return self._age_ms(reading) <= (AT_HAND_MS if reading.task.done() else LONGEST_MS)

    def _age_ms(self, reading: _AheadOfNeed) -> int:
        return self._clock.now().monotonic_ms - reading.began.monotonic_ms


def _read_ms(snapshot: Snapshot) -> int:
    """When the last request for loans left: monotonic, ms."""
    last = snapshot.last_asked
    return 0 if last is None else last.monotonic_ms
