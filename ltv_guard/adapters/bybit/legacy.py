"""Legacy loans: one order, one loan coin, one collateral coin, its own LTV (v5/crypto-loan)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.loan_ends import parse_end
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.order_wire import (
    ADJUSTMENT_ROW,
    adjustment_body,
    coins_of,
    order_key,
    parse_history_row,
    parse_keyed,
)
from ltv_guard.adapters.bybit.paging import HistoryList, pages
from ltv_guard.adapters.bybit.terms import Terms, parse_terms
from ltv_guard.adapters.bybit.wire import parse_maximum, parse_page
from ltv_guard.adapters.bybit.write_endpoint import Endpoints, WriteEndpoint
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.loan_book import LoanBook, LoanEnd
from ltv_guard.core.model.loans import Channel, Kind, Loan, LoanKey, Moment, Product
from ltv_guard.core.ports import Identity, Oddity

ORDERS = "/v5/crypto-loan/ongoing-orders"
HISTORY = "/v5/crypto-loan/adjustment-history"
MAXIMUM = "/v5/crypto-loan/max-collateral-amount"
TERMS = "/v5/crypto-loan/collateral-data"
ENDED = "/v5/crypto-loan/borrow-history"
ADJUST = "/v5/crypto-loan/adjust-ltv"

NO_TERMS_RETRIED_MS = 10_000  # while there are none at all


# v5/crypto-loan/adjust-collateral, v5/crypto-loan/ltv-adjust-history
ADJUSTMENTS = Endpoints(
    channel=Channel(Product.LEGACY, Kind.ADJUSTMENT),
    write=ADJUST,
    body=adjustment_body,
    history=HistoryList(path=HISTORY, parse=parse_history_row, names=ADJUSTMENT_ROW),
)


class LegacyLoans(WriteEndpoint):
    """Implements ports.LoanExchange."""

    product = Product.LEGACY

    def __init__(self, client: BybitClient, *, vip_level: str | None = None) -> None:
        """`vip_level` as query-api gives it; without one the most cautious terms of all levels hold."""
        super().__init__(client, ADJUSTMENTS)
        self.vip_level = vip_level
        self._terms = _TermsCache(client)

    def belongs_to(self, identity: Identity) -> None:
        """Its VIP level's terms hold from now on."""
        self.vip_level = identity.vip_level

    async def loans(self) -> LoanBook:
        began = leaves = self._client.clock.now()
        rows: list[tuple[LoanKey, object]] = []
        asked: dict[LoanKey, Moment] = {}
        read = 0
        async for page in pages(self._client, ORDERS):
            read += 1
            for row in page:
                key = order_key(row)
                rows.append((key, row))
                asked.setdefault(key, leaves)
            leaves = self._client.clock.now()
        reading = Reading(ORDERS)
        book = await self._book(rows, began, asked, reading)
        self._client.oddities.note(ORDERS, reading.found)
        return replace(book, pages=read)

    async def loan(self, key: LoanKey) -> LoanBook:
        began = self._client.clock.now()
        result = await self._client.get(ORDERS, {"orderId": key.loan_id}, urgent=True)
        try:
            rows, _ = parse_page(result)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{ORDERS}: the page makes no sense: {exc}") from exc
        # An exchange that does not know the filter would answer with others.
        own = [(key, row) for row in rows if order_key(row) == key]
        return await self._book(own, began, {}, Reading(ORDERS))

    async def _book(
        self,
        rows: list[tuple[LoanKey, object]],
        began: Moment,
        asked: Mapping[LoanKey, Moment],
        reading: Reading,
    ) -> LoanBook:
        coins = coins_of(row for _, row in rows)
        terms = await self._terms.covering(coins, self.vip_level) if rows else {}
        loans, set_aside = parse_keyed(rows, terms, reading)
        return LoanBook(product=self.product, loans=loans, set_aside=set_aside, began=began, asked=asked)

    async def end_of(self, loan: Loan) -> LoanEnd | None:
        """What v5/crypto-loan/completed-loan-order says of it: repaid, or liquidated."""
        result = await self._client.get(ENDED, {"orderId": loan.key.loan_id})
        try:
            return parse_end(result, loan.key.loan_id)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{ENDED}: the answer makes no sense: {exc}") from exc

    async def collateral_coins(self) -> Collection[str]:
        """Coins that the terms take as collateral."""
        return (await self._terms.covering((), self.vip_level)).keys()

    async def max_reduction(self, loan: Loan, coin: str) -> Decimal:
        """Coins (of the order's one collateral coin) that may be released at this moment."""
        if loan.collateral_in(coin) is None:
            return Decimal(0)
        result = await self._client.get(MAXIMUM, {"orderId": loan.key.loan_id})
        try:
            return parse_maximum(result)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{MAXIMUM}: the answer makes no sense: {exc}") from exc


class _TermsCache:
    """Terms change rarely: read once an hour, or when a coin is missing, at most once a minute.

    They are the same for every key of one VIP level.
    """

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self._terms: Mapping[str, Terms] = {}
        self._level: str | None = None
        self._tried_level: str | None = None
        self._read_at_ms: int | None = None
        self._tried_at_ms: int | None = None

    async def covering(self, coins: Collection[str], vip_level: str | None) -> Mapping[str, Terms]:
        """Terms for as many of `coins` as the exchange has. An outage is bridged with those of before."""
        now_ms, timing = self._client.clock.now().monotonic_ms, self._client.timing
        if self._is_due(coins, vip_level, now_ms):
            self._tried_at_ms, self._tried_level = now_ms, vip_level
            try:
                is_missing = not set(coins) <= self._terms.keys()
                found = await self._client.shared.get(
                    (TERMS, vip_level),
                    lambda: self._read(vip_level),
                    max_age_ms=(timing.terms_retried_ms if is_missing else timing.terms_kept_ms) - 1,
                )
                terms, odd = found.value
                self._client.oddities.note(TERMS, odd)
                # A coin that is suddenly missing keeps its terms: its loans must not lose their protection.
                self._terms = {**self._terms, **terms}
                self._read_at_ms, self._level = found.at_ms, vip_level
            except ExchangeUnavailable as exc:
                # Before they were ever read, orders are guarded by the usual ones.
                reading = Reading(TERMS)
                reading.passes_over("all", exc, "those of before hold, or the usual ones")
                self._client.oddities.note(TERMS, reading.found)
        return self._terms

    def _is_due(self, coins: Collection[str], vip_level: str | None, now_ms: int) -> bool:
        timing = self._client.timing
        if self._tried_at_ms is None:
            return True
        if self._read_at_ms is None:
            return now_ms - self._tried_at_ms >= NO_TERMS_RETRIED_MS
        if now_ms - self._tried_at_ms < timing.terms_retried_ms and vip_level == self._tried_level:
            return False
        is_old = now_ms - self._read_at_ms >= timing.terms_kept_ms
        return is_old or vip_level != self._level or not set(coins) <= self._terms.keys()

    async def _read(self, vip_level: str | None) -> tuple[Mapping[str, Terms], list[Oddity]]:
        result = await self._client.get(TERMS, signed=False)
        reading = Reading(TERMS)
        try:
            return parse_terms(result, vip_level, reading), reading.found
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{TERMS}: the terms make no sense: {exc}") from exc
