"""An account's pool: many debts and many collateral coins under one LTV (v5/new-crypto-loan)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.loan_ends import OF_FIXED_LOANS, REPAYMENT_TYPES, parse_last_repayment
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.paging import HistoryList
from ltv_guard.adapters.bybit.pool_debts import owes_nothing
from ltv_guard.adapters.bybit.pool_terms import PositionTerms, parse_debt_accuracies, parse_tiers
from ltv_guard.adapters.bybit.pool_wire import (
    ADJUSTMENT_ROW,
    POOL,
    adjustment_body,
    parse_history_row,
    parse_position,
)
from ltv_guard.adapters.bybit.terms_cache import RENEWED_WITHIN_S, terms_of_levels
from ltv_guard.adapters.bybit.wire import parse_maximum
from ltv_guard.adapters.bybit.write_endpoint import Endpoints, WriteEndpoint
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import LoanBook, LoanEnd, SetAside
from ltv_guard.core.model.loans import Channel, Kind, Loan, LoanKey, Product
from ltv_guard.core.model.tiers import Tier
from ltv_guard.core.ports import Hear, Identity, Oddity

POSITION = "/v5/crypto-loan-common/position"
HISTORY = "/v5/crypto-loan-common/adjustment-history"
MAXIMUM = "/v5/crypto-loan-common/max-collateral-amount"
TERMS = "/v5/crypto-loan-common/collateral-data"
LOANABLE = "/v5/crypto-loan-common/loanable-data"
REPAYMENTS = "/v5/crypto-loan-flexible/repayment-history"
FIXED_REPAYMENTS = "/v5/crypto-loan-fixed/repayment-history"
ADJUST = "/v5/crypto-loan-common/adjust-ltv"

ENDED_WITHIN_MS = 3_600_000
LOANABLE_WITHIN_S = 1.0


# v5/new-crypto-loan/adjust-ltv, v5/new-crypto-loan/ltv-adjust-history
ADJUSTMENTS = Endpoints(
    channel=Channel(Product.CRYPTO_LOAN, Kind.ADJUSTMENT),
    write=ADJUST,
    body=adjustment_body,
    history=HistoryList(path=HISTORY, parse=parse_history_row, names=ADJUSTMENT_ROW),
)


class PoolLoans(WriteEndpoint):
    """Implements ports.LoanExchange for the one loan that a pool is.

    `candidates` are the coins that may be added, held or not; the thresholds are the operator's, for no
    endpoint gives them.
    """

    product = Product.CRYPTO_LOAN

    def __init__(
        self,
        client: BybitClient,
        *,
        candidates: Sequence[str],
        margin_call_ltv: Decimal,
        liquidation_ltv: Decimal,
    ) -> None:
        super().__init__(client, ADJUSTMENTS)
        self._timing = client.timing
        self._candidates = candidates
        self._margin_call_ltv = margin_call_ltv
        self._liquidation_ltv = liquidation_ltv
        self._terms: PositionTerms | None = None
        self._due_ms = 0

    def belongs_to(self, identity: Identity) -> None:
        """A pool's terms are the same for all."""

    async def loans(self, hear: Hear | None = None) -> LoanBook:  # noqa: ARG002 - it is one page
        """The pool, if anything is owed (v5/new-crypto-loan/crypto-loan-position)."""
        began = self._client.clock.now()
        result = await self._client.get(POSITION)
        reading = Reading(POSITION)
        loans: tuple[Loan, ...] = ()
        set_aside: tuple[SetAside, ...] = ()
        try:
            if not owes_nothing(result):
                loan = parse_position(result, await self._current_terms(), reading)
                loans = (loan,) if loan is not None else ()
        except ValueError as exc:
            set_aside = (SetAside(key=POOL, why=str(exc)),)
        self._client.oddities.note(POSITION, reading.found)
        return LoanBook(product=self.product, loans=loans, set_aside=set_aside, began=began)

    async def loan(self, key: LoanKey) -> LoanBook:  # noqa: ARG002 - there is but one
        return await self.loans()

    async def end_of(self, loan: Loan) -> LoanEnd | None:
        """What the latest repayment within the hour says of it: by the user, by liquidation, or else.

        Of one that owed fixed loans their own list tells too: what it says of a liquidation counts.
        """
        end = await self._last_repayment(REPAYMENTS, REPAYMENT_TYPES)
        if (end is not None and end.liquidated) or not any(debt.fixed > 0 for debt in loan.debts):
            return end
        of_fixed = await self._last_repayment(FIXED_REPAYMENTS, OF_FIXED_LOANS)
        return of_fixed if end is None or (of_fixed is not None and of_fixed.liquidated) else end

    async def _last_repayment(self, path: str, types: Mapping[str, str]) -> LoanEnd | None:
        since_ms = self._client.clock.now().exchange_ms - ENDED_WITHIN_MS
        result = await self._client.get(path, {"limit": "20"})
        try:
            return parse_last_repayment(result, since_ms, types)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{path}: the answer makes no sense: {exc}") from exc

    async def collateral_coins(self) -> Collection[str]:
        """Coins that the tiers take as collateral."""
        return (await self._current_terms()).tiers.keys()

    async def max_reduction(self, loan: Loan, coin: str) -> Decimal:
        """Coins that may be released now (v5/new-crypto-loan/reduce-max-collateral-amt)."""
        if loan.collateral_in(coin) is None:
            return Decimal(0)
        result = await self._client.get(MAXIMUM, {"currency": coin})
        try:
            return parse_maximum(result)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{MAXIMUM}: the answer makes no sense: {exc}") from exc

    async def _current_terms(self) -> PositionTerms:
        """Tiers and accuracies, read once an hour. An outage is bridged with those of before."""
        now_ms = self._client.clock.now().monotonic_ms
        if self._terms is not None and now_ms < self._due_ms:
            return self._terms
        self._due_ms = now_ms + self._timing.terms_retried_ms  # unless they are read: also by who gives up
        try:
            self._terms = await self._read_terms(now_ms)
        except (ExchangeUnavailable, NeedsHuman):  # a 401 of whatever answers in its place, too
            if self._terms is None:
                raise
        return self._terms

    async def _read_terms(self, now_ms: int) -> PositionTerms:
        """Those of coins are the same for every key. What could not be read is asked for again soon."""
        timing, before = self._timing, self._terms
        found = await self._client.shared.soon(
            TERMS, self._read_tiers, max_age_ms=timing.terms_kept_ms - 1, within_s=self._within_s
        )
        tiers, odd = found.value
        self._client.oddities.note(TERMS, odd)
        accuracies, debt_accuracies = await self._accuracies(), await self._debt_accuracies()
        is_whole = accuracies is not None and debt_accuracies is not None
        kept_until_ms = found.at_ms + timing.terms_kept_ms
        self._due_ms = kept_until_ms if is_whole else min(kept_until_ms, now_ms + timing.terms_retried_ms)
        # A coin that is suddenly missing keeps what was known: without tiers nothing of it could be added.
        return PositionTerms(
            tiers={**(before.tiers if before else {}), **tiers},
            accuracies={**(before.accuracies if before else {}), **(accuracies or {})},
            debt_accuracies={**(before.debt_accuracies if before else {}), **(debt_accuracies or {})},
            candidates=self._candidates,
            margin_call_ltv=self._margin_call_ltv,
            liquidation_ltv=self._liquidation_ltv,
        )

    @property
    def _within_s(self) -> float | None:
        """How long the pool waits for terms: not long, where those of before serve as well."""
        return RENEWED_WITHIN_S if self._terms is not None else None

    async def _read_tiers(self) -> tuple[Mapping[str, tuple[Tier, ...]], list[Oddity]]:
        result = await self._client.get(TERMS, signed=False)
        reading = Reading(TERMS)
        try:
            return parse_tiers(result, reading), reading.found
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{TERMS}: the terms make no sense: {exc}") from exc

    async def _accuracies(self) -> Mapping[str, int] | None:
        """The pool's own terms tell none, those of the old product do. None: it can do without."""
        try:
            found = await terms_of_levels(
                self._client, max_age_ms=self._timing.terms_kept_ms - 1, within_s=self._within_s
            )
        except (ExchangeUnavailable, NeedsHuman):
            return None
        return {name: item.accuracy for name, item in found.value.at(None).items()}

    async def _debt_accuracies(self) -> Mapping[str, int] | None:
        """How fine a repayment may be (v5/new-crypto-loan/loan-coin). None: as collateral is."""
        try:
            found = await self._client.shared.soon(
                LOANABLE,
                self._read_debt_accuracies,
                max_age_ms=self._timing.terms_kept_ms - 1,
                within_s=LOANABLE_WITHIN_S,  # the pool must not wait for it
            )
        except (ExchangeUnavailable, NeedsHuman):
            return None
        return found.value

    async def _read_debt_accuracies(self) -> Mapping[str, int]:
        result = await self._client.get(LOANABLE, signed=False)
        try:
            return parse_debt_accuracies(result)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{LOANABLE}: the answer makes no sense: {exc}") from exc
