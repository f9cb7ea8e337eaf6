"""The contracts of an account's pool, coin by coin: hourly, and when the fixed debt changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.core.model.timing import Timing
from ltv_guard.core.ports import Clock, ContractExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.attempts import Attempts
from ltv_guard.guard.state.contract_shelf import ContractShelf
from ltv_guard.guard.surroundings import AccountPorts

WITHIN_S = 2.0  # what holds a cycle up costs more than contracts that are told of a minute later


class ContractReads:
    """What can't be read is said once; what was read before stays, and all else goes on."""

    def __init__(
        self,
        exchange: AccountPorts,
        shelf: ContractShelf,
        attempts: Attempts,
        clock: Clock,
        timing: Timing,
        defects: Defects,
    ) -> None:
        self._exchange, self._account = exchange.contracts, exchange.account
        self._shelf = shelf
        self._attempts = attempts
        self._clock = clock
        self._timing = timing
        self._defects = defects
        self._reading: asyncio.Task[None] | None = None
        self._wallet: Mapping[str, Decimal] = {}
        self._wallet_tried: Moment | None = None

    def saw(self, books: Mapping[Product, LoanBook]) -> None:
        """What was read of the loans; none where the pool could not be read."""
        for book in books.values():
            if book.product is Product.CRYPTO_LOAN and not book.set_aside:
                self._shelf.saw(book)

    def begin(self) -> None:
        """Begins to read those that are to be read, all at once, beside what else is done."""
        now = self._clock.now()
        coins = [] if self._exchange is None else self._shelf.wanted(now, self._timing)
        if self._exchange is None or not coins or not (self._reading is None or self._reading.done()):
            return
        self._shelf.tries(coins, now)
        self._reading = asyncio.create_task(self._read_all(self._exchange, coins))

    async def wait(self, within_s: float = WITHIN_S) -> None:
        """Until what was begun is read, or so long."""
        if self._reading is not None and not self._reading.done():
            await asyncio.wait({self._reading}, timeout=within_s)

    async def close(self) -> None:
        """Ends what is still being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_all(self, exchange: ContractExchange, coins: Sequence[str]) -> None:
        with self._defects.contained("reading fixed loans"):
            await asyncio.gather(*(self._read(exchange, coin) for coin in coins))

    async def _read(self, exchange: ContractExchange, coin: str) -> None:
        began = self._clock.now()
        found = await self._attempts.read(f"contracts in {coin}", exchange.contracts(coin), wait_s=WITHIN_S)
        if found is not None:
            self._shelf.keep(coin, found, began)

    async def wallet(self, due: Mapping[str, Decimal], *, may_read: bool) -> Mapping[str, Decimal]:
        """What the Funding wallet held of what is due when it was read last, about once a minute."""
        now, last = self._clock.now(), self._wallet_tried
        if may_read and (last is None or now.ms_since(last) >= self._timing.terms_retried_ms):
            self._wallet_tried = now
            reading = self._account.wallet(due.keys())
            found = await self._attempts.read("wallet for contracts", reading, wait_s=WITHIN_S)
            self._wallet = self._wallet if found is None else found
        return self._wallet
