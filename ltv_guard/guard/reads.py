"""What a cycle reads, and when: the loans always, the rest only when it may matter. Sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import structlog

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanEnd
from ltv_guard.core.model.loans import Channel, Kind, Loan, LoanKey, Moment, Product
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.ports import AccountExchange, Clock, LoanExchange, WritePath
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.history_reads import HistoryReads, horizon_ms
from ltv_guard.guard.last_known import LastKnown
from ltv_guard.guard.loan_watch import LoanWatch
from ltv_guard.guard.reconciler import Reconciler
from ltv_guard.guard.reporter import Reporter
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.state.intent_book import DAY_MS, IntentBook
from ltv_guard.guard.state.loan_registry import LoanRegistry
from ltv_guard.log.alert_repeater import AlertRepeater

READ_AGAIN = 2  # so often within a cycle, where a loan is shown as it was before an adjustment

T = TypeVar("T")

END_WITHIN_S = 2.0  # by then a loan that is gone is told of, with what is known

log = structlog.stdlib.get_logger()


class Reads:
    """Reads for one account. What can't be read is said once; the rest of the snapshot stays."""

    def __init__(  # noqa: PLR0913 - it is handed everything that it may ask
        self,
        options: GuardOptions,
        *,
        account: AccountExchange,
        products: Mapping[Product, LoanExchange],
        paths: Mapping[Channel, WritePath],
        clock: Clock,
        rulebook: Rulebook,
        intents: IntentBook,
        appraisal: Appraisal,
        reconciler: Reconciler,
        report: Reporter,
        loans: LoanRegistry,
        conditions: LoanWatch,
        alerts: AlertRepeater,
        last_known: LastKnown,
        defects: Defects,
    ) -> None:
        self._options = options
        self._account = account
        self._products = products
        self._paths = paths
        self._clock = clock
        self._rulebook = rulebook
        self._intents = intents
        self._appraisal = appraisal
        self._reconciler = reconciler
        self._report = report
        self._loans = loans
        self._loan_watch = conditions
        self._alerts = alerts
        self._last_known = last_known
        self._defects = defects
        self._ends: set[asyncio.Task[None]] = set()
        self._history_reads = HistoryReads(
            self._read_history,
            clock,
            wait_ms=options.max_snapshot_age_ms // 4,
            longest_ms=options.max_snapshot_age_ms,
        )

    async def close(self) -> None:
        """Ends what is still being read for the next cycle."""
        await asyncio.gather(*self._ends, return_exceptions=True)
        await self._history_reads.close()

    async def observe(self, snapshot: Snapshot) -> None:
        """The loans: each product by itself, so that one which fails does not blind the other."""

        async def read(exchange: LoanExchange) -> None:
            try:
                book = await exchange.loans()
            except (ExchangeUnavailable, NeedsHuman) as error:
                self._report.blind(exchange.product, error)
                return
            except Exception as error:  # noqa: BLE001 - it must not blind the other product as well
                self._defects.tell(Defect(what="reading the loans", error=error))
                ours = ExchangeUnavailable(f"an error of ltv-guard's own: {error!r}")
                self._report.blind(exchange.product, ours)
                return
            snapshot.books[exchange.product] = book
            snapshot.sweep_ms = max(snapshot.sweep_ms, self._clock.now().ms_since(book.began))
            with self._defects.contained("reporting the loans"):
                self._report.recovered(exchange.product)
                gone = self._loans.saw(book)
                for loan in gone:
                    self._ask_for_the_end(exchange, loan, book.began)
                self._report.loans.book(book, gone)
            with self._defects.contained("ends and terms of the loans"):
                self._loan_watch.look(book, self._clock.now())

        await asyncio.gather(*(read(exchange) for exchange in self._products.values()))

    def _ask_for_the_end(self, exchange: LoanExchange, loan: Loan, now: Moment) -> None:
        """How a loan ended is told once the exchange has said it, or soon: no cycle waits for it."""
        task = asyncio.create_task(self._tell_the_end(exchange, loan, now))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _tell_the_end(self, exchange: LoanExchange, loan: Loan, now: Moment) -> None:
        end: LoanEnd | None = None
        try:
            async with asyncio.timeout(END_WITHIN_S):
                end = await exchange.end_of(loan)
        except (ExchangeUnavailable, NeedsHuman, TimeoutError) as error:
            log.debug("end_not_read", why=str(error))
        self._report.loans.gone(loan, now, end)

    async def read_again(self, snapshot: Snapshot, key: LoanKey) -> bool:
        """One loan by its id: all of many may take too long to read. False, and said, where it failed."""
        book = await self._read("loan", self._products[key.product].loan(key))
        if book is not None:
            snapshot.books[key.product] = snapshot.books[key.product].with_loan(key, book)
        return book is not None

    def age_ms(self, snapshot: Snapshot) -> int:
        """Of the oldest that was read of the loans."""
        return self._clock.now().ms_since(snapshot.began)

    def age_of_ms(self, snapshot: Snapshot, key: LoanKey) -> int:
        """Of what was read of one loan."""
        return self._clock.now().ms_since(snapshot.asked_at(key))

    def own_channels(self, products: Collection[Product]) -> set[Channel]:
        """Where our own adjustments of these products, and what else may be done to them, would show."""
        kinds = {Kind.ADJUSTMENT} | ({Kind.REPAYMENT} if self._rulebook.repays else set())
        return {Channel(product, kind) for product in products for kind in kinds} & self._paths.keys()

    async def read_what_settles(
        self, snapshot: Snapshot, intents: Sequence[Intent], *, trusted: bool
    ) -> None:
        """The histories that something open, or just ended, is judged by; all where the journal is new."""
        now = self._clock.now()
        own = self.own_channels(self._products.keys())
        needed = [
            channel
            for channel in self._paths
            if self._reconciler.needs_history(channel, intents, now) or (channel in own and not trusted)
        ]
        await self._read_histories(snapshot, needed, intents)

    async def look_closer(self, snapshot: Snapshot, *, emergency: bool) -> None:
        """Something may have to be done: what a quiet cycle does without. All of it at once.

        An emergency waits a moment for the wallet and for prices, and then goes by what was last known.
        """
        spare = self._last_known.wallet(self._intents.every) if emergency else None
        prices = asyncio.create_task(self._look_at_prices(snapshot))
        try:
            await asyncio.gather(
                self._look_into_wallets(snapshot, spare),
                self._read_histories(snapshot, self.own_channels(snapshot.books.keys()) - snapshot.asked, ()),
            )
            # Orders do without where they take longer than all else: an amount of collateral needs no price.
            orders_only = all(loan.totals is None for loan in snapshot.loans)
            await asyncio.wait({prices}, timeout=self._options.grace_s if orders_only else None)
        finally:
            prices.cancel()
        await self._read_again_if_old(snapshot)

    async def _look_into_wallets(self, snapshot: Snapshot, spare: Mapping[str, Decimal] | None) -> None:
        coins = {item.coin for loan in snapshot.loans for item in loan.collateral if not item.unread}
        owed = (
            {debt.coin for loan in snapshot.loans for debt in loan.debts} if self._rulebook.repays else set()
        )
        snapshot.wallet_began = self._clock.now()
        snapshot.asked_coins = frozenset(coins | owed)
        reads = [self._read_wallet(snapshot, spare)]
        if self._rulebook.transfers.enabled:
            reads.append(self._read_unified(snapshot, coins))
        await asyncio.gather(*reads)

    async def _look_at_prices(self, snapshot: Snapshot) -> None:
        snapshot.prices = await self._read("prices", self._account.prices())

    async def _read_again_if_old(self, snapshot: Snapshot) -> None:
        """A loan as it was before an adjustment that had been shown: another place may answer next."""
        for _ in range(READ_AGAIN):
            self._appraisal.appraise(snapshot, self._clock.now())
            back = self._appraisal.shown_as_before(snapshot)
            if not back:
                return
            self._report.loans.shown_as_before(back)
            await asyncio.gather(*(self.read_again(snapshot, loan.key) for loan in back))

    async def _read_wallet(self, snapshot: Snapshot, spare: Mapping[str, Decimal] | None) -> None:
        """The Funding wallet; `spare`, an older reading, for what does not come at once or is unread."""
        wait_s = None if spare is None else self._options.short_wait_s
        wallet = await self._read("wallet", self._account.wallet(snapshot.asked_coins), wait_s=wait_s)
        if wallet is not None:
            self._last_known.saw_wallet(wallet, snapshot.wallet_began or self._clock.now())
            unread = snapshot.unread_coins(wallet) & (spare or {}).keys()
            snapshot.wallet = {**wallet, **{coin: (spare or {})[coin] for coin in unread}}
            if self._alerts.ended("old wallet"):
                log.info("wallet_fresh_again")
        elif spare is not None:
            snapshot.wallet, snapshot.wallet_is_old = spare, True
            age_ms = self._last_known.wallet_age_ms(self._clock.now()) or 0
            self._alerts.once(
                "old wallet",
                "warning",
                "wallet_not_fresh",
                why="the Funding wallet does not answer; in an emergency its last balance counts",
                seconds=age_ms // 1000,
            )

    async def _read_unified(self, snapshot: Snapshot, coins: Collection[str]) -> None:
        snapshot.unified = await self._read("unified", self._account.unified(coins))

    async def look_twice(self, snapshot: Snapshot, keys: Collection[LoanKey], *, prices: bool) -> None:
        """One more look at loans and prices before something odd is acted on: a round trip, not a poll.

        A loan that can't be read again stays as it is; its first read is then all that is known.
        """
        reads = [self._look_twice_at(snapshot, key) for key in keys]
        if prices and snapshot.prices is not None:
            reads.append(self._read_prices_again(snapshot))
        await asyncio.gather(*reads)

    async def _look_twice_at(self, snapshot: Snapshot, key: LoanKey) -> None:
        first = next((loan for loan in snapshot.loans if loan.key == key), None)
        if await self.read_again(snapshot, key) and first is not None:
            snapshot.before[key] = first

    async def _read_prices_again(self, snapshot: Snapshot) -> None:
        wait_s = self._options.short_wait_s
        snapshot.prices_again = await self._read(
            "prices again", self._account.prices(again=True), wait_s=wait_s
        )

    async def _read_histories(
        self, snapshot: Snapshot, channels: Collection[Channel], intents: Sequence[Intent]
    ) -> None:
        """Those that are to be had soon: the others are read on, beside what this cycle does."""
        snapshot.asked |= set(channels)
        snapshot.histories |= await self._history_reads.ask(
            {channel: self._reaches_back_to(channel, intents) for channel in channels}
        )
        for channel in channels:
            topic = ("history slow", channel)
            what = {"product": channel.product, "kind": channel.kind}
            if channel in self._history_reads.under_way():
                why = "it is still being read: what it decides waits for it, nothing else does"
                self._alerts.once(topic, "warning", "history_slow", **what, why=why)
            elif channel in snapshot.histories and self._alerts.ended(topic):
                log.info("history_in_time", **what)

    def _reaches_back_to(self, channel: Channel, intents: Sequence[Intent]) -> int:
        now_ms = self._clock.now().exchange_ms
        own = (item.created_at_ms for item in intents if item.channel == channel)
        oldest = min(own, default=now_ms)
        # Of transfers only our own matter, and those are known by their ids.
        back_ms = DAY_MS if channel.kind is Kind.TRANSFER else horizon_ms(self._rulebook)
        return min(oldest - DAY_MS, now_ms - back_ms)

    async def _read_history(self, channel: Channel, since_ms: int) -> History | None:
        with self._defects.contained(f"reading the history of {channel.kind}"):
            return await self._reconciler.read_history(self._paths[channel], channel, since_ms)
        return None

    async def _read(self, what: str, reading: Awaitable[T], *, wait_s: float | None = None) -> T | None:
        """What was read; None, and said once, where it could not be, or not within `wait_s`."""
        try:
            async with asyncio.timeout(wait_s):
                found = await reading
        except TimeoutError:
            self._alerts.once(what, "warning", "read_failed", what=what, why=f"no answer within {wait_s} s")
            return None
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._alerts.once(what, "warning", "read_failed", what=what, why=str(error))
            return None
        except Exception as error:  # noqa: BLE001 - what can be done without this read is done
            self._defects.tell(Defect(what=f"reading {what}", error=error))
            return None
        if self._alerts.ended(what):
            log.info("read_works_again", what=what)
        return found
