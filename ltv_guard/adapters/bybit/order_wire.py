"""What goes over the wire for legacy loans, which are orders: bodies out, payloads in. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from ltv_guard.adapters.bybit.doubts import RowNames
from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    as_row,
    coin,
    identity,
    moment,
    readable,
)
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.terms import USUAL_LIQUIDATION, USUAL_MARGIN_CALL, Terms, usual_terms
from ltv_guard.adapters.bybit.wire import (
    CODES,
    USUAL_ACCURACY,
    direction_of,
    plain,
    repayment_names,
    repayment_row,
)
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import SetAside
from ltv_guard.core.model.loans import IMPLAUSIBLE_LTV, Collateral, Debt, Loan, LoanKey, Product

OWED = ("totalDebt", "residualInterest", "residualPenaltyInterest")
UNNAMED = "(no orderId)"
GUARDED_BY_USUAL_TERMS = (
    f"it is guarded by the usual ones: margin call at {USUAL_MARGIN_CALL}, liquidation at {USUAL_LIQUIDATION}"
)

WORSE_COUNTS = "the row with the higher LTV counts"
GUARDED_BY_ITS_AMOUNTS = "it is guarded by its debt, its collateral and prices, and nothing of it is released"


def adjustment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan/adjust-ltv (v5/crypto-loan/adjust-collateral): three strings."""
    body = {
        "orderId": intent.key.loan_id,
        "amount": plain(intent.amount),
        "direction": CODES[intent.direction],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def parse_order(row: Row, key: LoanKey, terms: Mapping[str, Terms], reading: Reading) -> Loan:
    """Its id and collateral must be there, and its LTV or its debt; what else is odd is passed over.

    An LTV that can't be read is 0 here, which no loan has: `core/reconcile/plausibility.py` then goes by what
    its amounts and prices say. Raises MalformedPayload, and ValueError for a loan that can't be.
    """
    if key.loan_id == UNNAMED:
        identity(row, "orderId")
    held = coin(row, "collateralCurrency")
    coin_terms = terms.get(held)
    if coin_terms is None:
        coin_terms = usual_terms(held)
        why = f"the exchange gives no collateral terms for {held}"
        reading.passes_over(str(row["orderId"]), why, GUARDED_BY_USUAL_TERMS)
    debts = _owed(row, terms, reading)
    return Loan(
        key=key,
        ltv=_ltv(row, debts, reading),
        collateral=(
            Collateral(coin=held, amount=amount(row, "collateralAmount"), accuracy=coin_terms.accuracy),
        ),
        debts=debts,
        margin_call_ltv=coin_terms.margin_call_ltv,
        liquidation_ltv=coin_terms.liquidation_ltv,
        expires_at_ms=_expiry(row, reading),
    )


def _ltv(row: Row, debts: tuple[Debt, ...], reading: Reading) -> Decimal:
    try:
        return _plausible_ltv(row)
    except MalformedPayload as exc:
        if not any(debt.repayable for debt in debts):
            raise
        reading.passes_over(str(row["orderId"]), exc, GUARDED_BY_ITS_AMOUNTS)
        return Decimal(0)


def _plausible_ltv(row: Row) -> Decimal:
    found = amount(row, "currentLTV")
    if found >= IMPLAUSIBLE_LTV:
        raise MalformedPayload(f"an LTV of {found:f} is not plausible")
    return found


Parse = Callable[[Row, LoanKey, Mapping[str, Terms], Reading], Loan]


def parse_keyed(
    items: Iterable[tuple[LoanKey, object]],
    terms: Mapping[str, Terms],
    reading: Reading,
    parse: Parse = parse_order,
) -> tuple[tuple[Loan, ...], tuple[SetAside, ...]]:
    """Loans, and those that are set aside, from rows of v5/crypto-loan/unpaid-loan-order with their keys.

    A row may come twice, since pages are cut while the list moves: the later one that can be read counts.
    """
    loans: dict[LoanKey, Loan] = {}
    aside: dict[LoanKey, SetAside] = {}
    for key, item in items:
        try:
            loans[key] = parse(as_row(item), key, terms, reading)
        except ValueError as exc:
            aside[key] = SetAside(key=key, why=str(exc), nameless=key.loan_id == UNNAMED)
    return tuple(loans.values()), tuple(item for key, item in aside.items() if key not in loans)


def worst_last(page: list[tuple[LoanKey, object]], reading: Reading) -> list[tuple[LoanKey, object]]:
    """Rows of one answer, which shows no order twice: of two that differ the later one counts, the worse."""
    last = dict(page)
    if len(last) == len(page):
        return page
    for key, item in page:
        if item != last[key] and key.loan_id != UNNAMED:
            reading.passes_over(key.loan_id, "it is listed twice, differently", WORSE_COUNTS)
    return sorted(page, key=lambda pair: _shown_ltv(pair[1]))


def _shown_ltv(item: object) -> Decimal:
    return (readable(item, "currentLTV", amount) if isinstance(item, Mapping) else None) or Decimal(0)


def coins_of(items: Iterable[object]) -> set[str]:
    """The collateral coins that the rows name, as far as they can be read."""
    found: set[str] = set()
    for item in items:
        try:
            row = as_row(item)
            name = row.get("collateralCurrency")
            if type(name) is not str or name not in found:
                found.add(coin(row, "collateralCurrency"))
        except MalformedPayload:
            continue
    return found


def order_key(item: object) -> LoanKey:
    """Whose row of v5/crypto-loan/unpaid-loan-order it is; a name for all of those that bear none."""
    try:
        return LoanKey(Product.LEGACY, identity(as_row(item), "orderId"))
    except MalformedPayload:
        return LoanKey(Product.LEGACY, UNNAMED)


def _owed(row: Row, terms: Mapping[str, Terms], reading: Reading) -> tuple[Debt, ...]:
    """The debt; it only bears on repaying, for the exchange gives the LTV."""
    parts, odd = [], []
    for name in OWED:
        try:
            parts.append(amount(row, name))
        except MalformedPayload as exc:
            odd.append(str(exc))
    try:
        owed = coin(row, "loanCurrency")
    except MalformedPayload as exc:
        reading.passes_over(str(row["orderId"]), exc, "it is guarded, and nothing of it is repaid")
        return ()
    if odd:
        why = "; ".join(odd)
        reading.passes_over(str(row["orderId"]), why, "it is guarded, and nothing of it is repaid")
    total = sum(parts, Decimal(0))
    debt = Debt(
        coin=owed,
        amount=total,
        accuracy=accuracy_in(terms, owed),
        unread=bool(odd),
        hourly_rate=readable(row, "hourlyInterestRate", amount),
    )
    return (debt,)


def accuracy_in(terms: Mapping[str, Terms], owed: str) -> int:
    """Decimals of the loan's coin, as far as known: those that it has as collateral."""
    known = terms.get(owed)
    return known.accuracy if known is not None else USUAL_ACCURACY


def _expiry(row: Row, reading: Reading) -> int | None:
    """Flexible loans carry an empty string. An end that can't be read keeps no loan from help."""
    if row.get("expirationTime") in ("", None, "0", 0):
        return None
    try:
        return moment(row, "expirationTime")
    except MalformedPayload as exc:
        reading.passes_over(str(row["orderId"]), exc, "it is guarded, and its end is not announced")
        return None


def parse_history_row(item: object) -> HistoryRow:
    """A row of v5/crypto-loan/ltv-adjust-history. It has no status: what is listed has succeeded.

    Raises MalformedPayload: a row that can't be read can't be left out, for the history proves absence.
    """
    row = as_row(item)
    return HistoryRow(
        adjust_id=identity(row, "adjustId"),
        key=order_of(row),
        coin=coin(row, "collateralCurrency"),
        direction=direction_of(row),
        amount=amount(row, "amount"),
        at_ms=moment(row, "adjustTime"),
        ltv_before=readable(row, "preLTV", amount),
        ltv_after=readable(row, "afterLTV", amount),
    )


def order_of(row: Row) -> LoanKey:
    """Whose row of v5/crypto-loan/ltv-adjust-history or repay-transaction it is. Raises MalformedPayload."""
    return LoanKey(Product.LEGACY, identity(row, "orderId"))


ADJUSTMENT_ROW = RowNames(key=order_of, direction=direction_of)


def repayment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan/repay (v5/crypto-loan/repay): two strings."""
    body = {"orderId": intent.key.loan_id, "amount": plain(intent.amount)}
    return json.dumps(body, separators=(",", ":")).encode()


def parse_repayment(item: object) -> HistoryRow:
    """A row of v5/crypto-loan/repay-transaction, by the user or by liquidation. Raises MalformedPayload."""
    return repayment_row(as_row(item), order_of(as_row(item)))


REPAYMENT_ROW = repayment_names(order_of)
