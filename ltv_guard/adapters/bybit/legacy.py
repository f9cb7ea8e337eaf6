"""Legacy loans: one order, one loan coin, one collateral coin, its own LTV (v5/crypto-loan)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.known_orders import KnownOrders
from ltv_guard.adapters.bybit.loan_ends import parse_end
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.order_wire import (
    ADJUSTMENT_ROW,
    adjustment_body,
    coins_of,
    order_key,
    parse_history_row,
    parse_keyed,
    worst_last,
)
from ltv_guard.adapters.bybit.paging import HistoryList, pages
from ltv_guard.adapters.bybit.terms_cache import TermsCache
from ltv_guard.adapters.bybit.wire import parse_maximum, parse_page
from ltv_guard.adapters.bybit.write_endpoint import Endpoints, WriteEndpoint
from ltv_guard.core.model.errors import ExchangeBanned, ExchangeUnavailable
from ltv_guard.core.model.loan_book import ListCutShort, LoanBook, LoanEnd, SetAside
from ltv_guard.core.model.loans import Channel, Kind, Loan, LoanKey, Moment, Product
from ltv_guard.core.ports import Hear, Identity

ORDERS = "/v5/crypto-loan/ongoing-orders"
HISTORY = "/v5/crypto-loan/adjustment-history"
MAXIMUM = "/v5/crypto-loan/max-collateral-amount"
ENDED = "/v5/crypto-loan/borrow-history"
ADJUST = "/v5/crypto-loan/adjust-ltv"
MOST_AGAIN = 2  # a loan that is taken meanwhile may push the last one onto a page of its own


# v5/crypto-loan/adjust-collateral, v5/crypto-loan/ltv-adjust-history
ADJUSTMENTS = Endpoints(
    channel=Channel(Product.LEGACY, Kind.ADJUSTMENT),
    write=ADJUST,
    body=adjustment_body,
    history=HistoryList(path=HISTORY, parse=parse_history_row, names=ADJUSTMENT_ROW),
)


@dataclass(slots=True)
class _Listed:
    """The rows of a list's pages so far, and when each loan's own was asked for first."""

    rows: list[tuple[LoanKey, object]] = field(default_factory=list)
    asked: dict[LoanKey, Moment] = field(default_factory=dict)
    pages: int = 0
    _again: int = 0

    def add(self, keyed: list[tuple[LoanKey, object]], left: Moment) -> None:
        """One more page. Raises ExchangeUnavailable where the list goes on and on with nothing new."""
        self.pages += 1
        known = len(self.asked)
        self.rows += keyed
        for key, _ in keyed:
            self.asked.setdefault(key, left)
        self._again = self._again + 1 if keyed and len(self.asked) == known else 0
        if self._again == MOST_AGAIN:
            raise ExchangeUnavailable(f"{ORDERS}: the same loans come again: its list has no end")


class LegacyLoans(WriteEndpoint):
    """Implements ports.LoanExchange."""

    product = Product.LEGACY

    def __init__(self, client: BybitClient) -> None:
        super().__init__(client, ADJUSTMENTS)
        self.vip_level: str | None = None  # unknown: the most cautious terms of all levels hold
        self._terms = TermsCache(client)
        self._known = KnownOrders()

    def belongs_to(self, identity: Identity) -> None:
        """Its VIP level's terms hold from now on."""
        self.vip_level = identity.vip_level

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        began, budget = self._client.clock.now(), self._client.budget(ORDERS)
        listed, reading, cut = _Listed(), Reading(ORDERS), None
        try:
            async for page in pages(self._client, ORDERS, budget=budget):
                left = budget.asked or began  # it may have waited for its turn
                keyed = worst_last([(self._known.key_of(row), row) for row in page], reading)
                listed.add(keyed, left)
                if hear is not None:
                    hear(self._part(keyed, left))
        except ExchangeUnavailable as error:
            if not listed.rows or isinstance(error, ExchangeBanned):
                raise
            cut = error
        book = await self._book(listed.rows, began, listed.asked, reading, self._known.parse)
        self._client.oddities.note(ORDERS, reading.found)
        if cut is not None:
            part = replace(book, pages=listed.pages + 1, cut_short=str(cut))
            raise ListCutShort(str(cut), book=part, mend=cut.mend) from cut
        return replace(book, pages=listed.pages)

    def _part(self, rows: list[tuple[LoanKey, object]], began: Moment) -> LoanBook:
        """What a page tells by itself, under the terms of before. What is odd is told with the whole."""
        loans, _ = self._known.parse_part(rows, self._terms.known, Reading(ORDERS))
        return LoanBook(product=self.product, loans=loans, began=began)

    async def loan(self, key: LoanKey) -> LoanBook:
        began = self._client.clock.now()
        result = await self._client.get(ORDERS, {"orderId": key.loan_id}, urgent=True)
        try:
            rows, _ = parse_page(result)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{ORDERS}: the page makes no sense: {exc}") from exc
        reading = Reading(ORDERS)
        own = worst_last([(key, row) for row in rows if order_key(row) == key], reading)
        if rows and not own:
            raise ExchangeUnavailable(f"{ORDERS}: asked for order {key.loan_id}, it answers with others")
        return await self._book(own, began, {}, reading)

    async def _book(
        self,
        rows: list[tuple[LoanKey, object]],
        began: Moment,
        asked: Mapping[LoanKey, Moment],
        reading: Reading,
        parse: Callable[..., tuple[tuple[Loan, ...], tuple[SetAside, ...]]] = parse_keyed,
    ) -> LoanBook:
        coins = coins_of(row for _, row in rows)
        terms = await self._terms.covering(coins, self.vip_level) if rows else {}
        loans, set_aside = parse(rows, terms, reading)
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
