"""What a cycle reads, and when: the loans always, the rest only when it may matter. Sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import TypeVar

import structlog

from ltv_guard.conditions import Conditions
from ltv_guard.core.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.intents import Intent
from ltv_guard.core.loans import Channel, Kind, Product
from ltv_guard.core.rules import Rulebook
from ltv_guard.gathering import Gatherer
from ltv_guard.memory import DAY_MS
from ltv_guard.notices import Notices
from ltv_guard.ports import AccountExchange, Clock, LoanExchange, WritePath
from ltv_guard.reporting import Reporter
from ltv_guard.settling import Settler
from ltv_guard.sight import GuardOptions, Sight

READ_AGAIN = 2  # so often within a cycle, where a loan is shown as it was before an adjustment

T = TypeVar("T")

log = structlog.stdlib.get_logger()


class Observer:
    """Reads for one account. What can't be read is said once, and leaves the rest of the sight as it is."""

    def __init__(  # noqa: PLR0913 - it is handed everything that it may ask
        self,
        options: GuardOptions,
        *,
        account: AccountExchange,
        products: Mapping[Product, LoanExchange],
        paths: Mapping[Channel, WritePath],
        clock: Clock,
        rulebook: Rulebook,
        gatherer: Gatherer,
        settler: Settler,
        report: Reporter,
        conditions: Conditions,
        notices: Notices,
    ) -> None:
        self._options = options
        self._account = account
        self._products = products
        self._paths = paths
        self._clock = clock
        self._rulebook = rulebook
        self._gatherer = gatherer
        self._settler = settler
        self._report = report
        self._conditions = conditions
        self._notices = notices

    async def observe(self, sight: Sight) -> None:
        """The loans: each product by itself, so that one which fails does not blind the other."""

        async def read(exchange: LoanExchange) -> None:
            try:
                book = await exchange.loans()
            except (ExchangeUnavailable, NeedsHuman) as error:
                self._report.blind(exchange.product, str(error))
            else:
                self._report.recovered(exchange.product)
                self._report.book(book)
                self._conditions.look(book, self._clock.now())
                sight.books[exchange.product] = book

        await asyncio.gather(*(read(exchange) for exchange in self._products.values()))

    async def observe_again_if_late(self, sight: Sight) -> None:
        """A history that hangs must not cost the loans their protection."""
        if sight.books and self.age_ms(sight) > self._options.max_snapshot_age_ms / 2:
            await self.observe(sight)

    def age_ms(self, sight: Sight) -> int:
        return self._clock.now().ms_since(sight.began)

    def own_channels(self, products: Collection[Product]) -> set[Channel]:
        """Where our own adjustments of these products, and what else may be done to them, would show."""
        kinds = {Kind.ADJUSTMENT} | ({Kind.REPAYMENT} if self._rulebook.repays else set())
        return {Channel(product, kind) for product in products for kind in kinds} & self._paths.keys()

    async def read_what_settles(self, sight: Sight, intents: Sequence[Intent], *, trusted: bool) -> None:
        """The histories that something open, or just ended, is judged by; all where the journal is new."""
        now = self._clock.now()
        own = self.own_channels(self._products.keys())
        needed = [
            channel
            for channel in self._paths
            if self._settler.needs_history(channel, intents, now) or (channel in own and not trusted)
        ]
        await self._read_histories(sight, needed, intents)

    async def look_closer(self, sight: Sight) -> None:
        """Something may have to be done: what a quiet cycle does without."""
        now = self._clock.now()
        coins = {item.coin for loan in sight.loans for item in loan.collateral}
        owed = {debt.coin for loan in sight.loans for debt in loan.debts} if self._rulebook.repays else set()
        sight.wallet_began = now
        sight.wallet = await self._read("wallet", self._account.wallet(coins | owed))
        if self._rulebook.transfers.enabled:
            sight.unified = await self._read("unified", self._account.unified(coins))
        doubted = any(not self._gatherer.freshness(loan, sight, now).fresh for loan in sight.loans)
        if doubted or any(loan.totals is not None for loan in sight.loans):
            sight.prices = await self._read("prices", self._account.prices())
        await self._read_histories(sight, self.own_channels(sight.books.keys()) - sight.asked, ())
        await self._observe_again_if_old(sight)
        await self.observe_again_if_late(sight)

    async def _observe_again_if_old(self, sight: Sight) -> None:
        """A loan as it was before an adjustment that had been shown: another place may answer next."""
        for _ in range(READ_AGAIN):
            now = self._clock.now()
            back = [loan for loan in sight.loans if self._gatherer.is_shown_as_before(loan, sight, now)]
            if not back:
                return
            self._report.shown_as_before(back)
            await self.observe(sight)

    async def _read_histories(
        self, sight: Sight, channels: Collection[Channel], intents: Sequence[Intent]
    ) -> None:
        await asyncio.gather(*(self._read_history(sight, channel, intents) for channel in channels))

    async def _read_history(self, sight: Sight, channel: Channel, intents: Sequence[Intent]) -> None:
        sight.asked.add(channel)
        now_ms = self._clock.now().exchange_ms
        own = (item.created_at_ms for item in intents if item.channel == channel)
        oldest = min(own, default=now_ms)
        # Of transfers only our own matter, and those are known by their ids.
        horizon_ms = DAY_MS if channel.kind is Kind.TRANSFER else self._gatherer.horizon_ms
        since = min(oldest - DAY_MS, now_ms - horizon_ms)
        history = await self._settler.read_history(self._paths[channel], channel, since)
        if history is not None:
            sight.histories[channel] = history

    async def _read(self, what: str, reading: Awaitable[T]) -> T | None:
        """What was read; None, and said once, where it could not be."""
        try:
            found = await reading
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._notices.once(what, "warning", "read_failed", what=what, why=str(error))
            return None
        if self._notices.ended(what):
            log.info("read_works_again", what=what)
        return found
