"""What goes over the wire for legacy loans: queries and bodies out, payloads in. Pure.

Wire dictionaries end here: what makes no sense becomes a SetAside or MalformedPayload, never a wrong number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from urllib.parse import quote, urlencode

from ltv_guard.adapters.bybit.doubts import RowNames
from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    as_row,
    coin,
    decimal,
    identity,
    moment,
    rows,
    shown,
    whole,
)
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.terms import Terms, usual_terms
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanEnd, SetAside
from ltv_guard.core.model.loans import Collateral, Debt, Direction, Loan, LoanKey, Product

DIRECTIONS = {"0": Direction.ADD, "1": Direction.REDUCE}
USUAL_ACCURACY = 8
CODES = {direction: code for code, direction in DIRECTIONS.items()}
OWED = ("totalDebt", "residualInterest", "residualPenaltyInterest")
UNNAMED = "(no orderId)"
LONGEST_CURSOR = 1024
GUARDED_BY_USUAL_TERMS = "it is guarded by the usual ones: margin call at 0.87, liquidation at 0.95"
ORDER_ENDS = {
    "1": LoanEnd(liquidated=False, words="the exchange lists it as repaid"),
    "2": LoanEnd(liquidated=True, words="the exchange lists it as liquidated"),
}
REPAYMENT_TYPES = {
    "1": "by the user",
    "2": "by liquidation",
    "5": "by delisting",
    "6": "by delayed liquidation",
    "7": "with collateral",
}
LIQUIDATIONS = {"2", "6"}
STATUSES = {1: RowStatus.SUCCESS, 2: RowStatus.PROCESSING, 3: RowStatus.FAILED}


def query_string(params: Mapping[str, str]) -> str:
    """The query exactly as it is signed and sent: every reserved character as %XX, a comma included."""
    return urlencode(params, quote_via=quote, safe="")


def plain(value: Decimal) -> str:
    """An amount without exponent: the exchange refuses 1E-8."""
    return format(value, "f")


def adjustment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan/adjust-ltv (v5/crypto-loan/adjust-collateral): three strings."""
    body = {
        "orderId": intent.key.loan_id,
        "amount": plain(intent.amount),
        "direction": CODES[intent.direction],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def parse_orders(
    items: Iterable[object], terms: Mapping[str, Terms], reading: Reading | None = None
) -> tuple[tuple[Loan, ...], tuple[SetAside, ...]]:
    """Loans, and those that are set aside, from the rows of v5/crypto-loan/unpaid-loan-order.

    A row may come twice, since pages are cut while the list moves: the later one that can be read counts.
    """
    reading = reading or Reading("orders")
    loans: dict[LoanKey, Loan] = {}
    aside: dict[LoanKey, SetAside] = {}
    for item in items:
        key = order_key(item)
        try:
            loans[key] = _parse_order(as_row(item), key, terms, reading)
        except ValueError as exc:
            aside[key] = SetAside(key=key, why=str(exc), nameless=key.loan_id == UNNAMED)
    return tuple(loans.values()), tuple(item for key, item in aside.items() if key not in loans)


def coins_of(items: Iterable[object]) -> set[str]:
    """The collateral coins that the rows name, as far as they can be read."""
    found = set()
    for item in items:
        try:
            found.add(coin(as_row(item), "collateralCurrency"))
        except MalformedPayload:
            continue
    return found


def order_key(item: object) -> LoanKey:
    """Whose row it is; a name for all of those that bear none."""
    try:
        return LoanKey(Product.LEGACY, identity(as_row(item), "orderId"))
    except MalformedPayload:
        return LoanKey(Product.LEGACY, UNNAMED)


def _parse_order(row: Row, key: LoanKey, terms: Mapping[str, Terms], reading: Reading) -> Loan:
    """Its id, LTV and collateral must be there; what else is odd is passed over."""
    identity(row, "orderId")
    held = coin(row, "collateralCurrency")
    coin_terms = terms.get(held)
    if coin_terms is None:
        coin_terms = usual_terms(held)
        why = f"the exchange gives no collateral terms for {held}"
        reading.passes_over(str(row["orderId"]), why, GUARDED_BY_USUAL_TERMS)
    return Loan(
        key=key,
        ltv=decimal(row, "currentLTV"),
        collateral=(
            Collateral(coin=held, amount=amount(row, "collateralAmount"), accuracy=coin_terms.accuracy),
        ),
        debts=_owed(row, terms, reading),
        margin_call_ltv=coin_terms.margin_call_ltv,
        liquidation_ltv=coin_terms.liquidation_ltv,
        expires_at_ms=_expiry(row, reading),
    )


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
    return (Debt(coin=owed, amount=total, accuracy=accuracy_in(terms, owed), unread=bool(odd)),)


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
        ltv_before=_optional(row, "preLTV"),
        ltv_after=_optional(row, "afterLTV"),
    )


def order_of(row: Row) -> LoanKey:
    return LoanKey(Product.LEGACY, identity(row, "orderId"))


def direction_of(row: Row) -> Direction:
    direction = DIRECTIONS.get(identity(row, "direction"))
    if direction is None:
        raise MalformedPayload(f"its direction is {shown(row['direction'])}, neither 0 nor 1")
    return direction


ADJUSTMENT_ROW = RowNames(key=order_of, direction=direction_of)


def _optional(row: Row, name: str) -> Decimal | None:
    try:
        return amount(row, name)
    except MalformedPayload:
        return None


def repayment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan/repay (v5/crypto-loan/repay): two strings."""
    body = {"orderId": intent.key.loan_id, "amount": plain(intent.amount)}
    return json.dumps(body, separators=(",", ":")).encode()


def parse_repayment(item: object) -> HistoryRow:
    """A row of v5/crypto-loan/repay-transaction, by the user or by liquidation. Raises MalformedPayload."""
    return repayment_row(as_row(item), order_of(as_row(item)))


def repayment_row(row: Row, key: LoanKey) -> HistoryRow:
    """What both products tell of a repayment. Its id is told apart from an adjustment's."""
    status = STATUSES.get(whole(row, "repayStatus"))
    if status is None:
        raise MalformedPayload(f"its repayStatus is {shown(row['repayStatus'])}, which is none that is known")
    return HistoryRow(
        adjust_id=repayment_id(identity(row, "repayId")),
        key=key,
        coin=coin(row, "loanCurrency"),
        direction=Direction.REPAY,
        amount=amount(row, "repayAmount"),
        at_ms=moment(row, "repayTime"),
        ltv_before=None,
        ltv_after=None,
        status=status,
    )


def parse_end(result: Row, order_id: str) -> LoanEnd | None:
    """How an order ended (v5/crypto-loan/completed-loan-order): status 1 repaid, 2 liquidated."""
    for item in rows(result, "list"):
        row = as_row(item)
        if str(row.get("orderId")) == order_id and str(row.get("status")) in ORDER_ENDS:
            return ORDER_ENDS[str(row["status"])]
    return None


def parse_last_repayment(result: Row, since_ms: int) -> LoanEnd | None:
    """What the latest repayment since then was by (v5/new-crypto-loan/flexible/repay-orders)."""
    dated = [
        (moment(row, "repayTime"), str(row.get("repayType"))) for row in map(as_row, rows(result, "list"))
    ]
    latest = max((pair for pair in dated if pair[0] >= since_ms), default=None)
    if latest is None or latest[1] not in REPAYMENT_TYPES:
        return None
    words = f"its last repayment was {REPAYMENT_TYPES[latest[1]]} (repayType {latest[1]})"
    return LoanEnd(liquidated=latest[1] in LIQUIDATIONS, words=words)


def repayment_id(repay_id: str) -> str:
    return f"repay-{repay_id}"


def repayment_names(key: Callable[[Row], LoanKey]) -> RowNames:
    return RowNames(
        adjust_id="repayId",
        written_id=repayment_id,
        key=key,
        direction=lambda _: Direction.REPAY,
        coin="loanCurrency",
        amount="repayAmount",
        at="repayTime",
    )


REPAYMENT_ROW = repayment_names(order_of)


def parse_maximum(result: Row) -> Decimal:
    """Coins that may be released (v5/crypto-loan/reduce-max-collateral-amt)."""
    return amount(result, "maxCollateralAmount")


def parse_page(result: Row) -> tuple[list[object], str]:
    """The rows of a page, and the cursor of the next ("" for none)."""
    return rows(result, "list"), _cursor(result)


def _cursor(result: Row) -> str:
    cursor = result.get("nextPageCursor")
    if cursor is None:
        return ""
    if isinstance(cursor, bool) or not isinstance(cursor, str | int):
        raise MalformedPayload("its nextPageCursor is no string")
    text = str(cursor)
    if len(text.encode(errors="replace")) > LONGEST_CURSOR:
        raise MalformedPayload(f"its nextPageCursor is longer than {LONGEST_CURSOR} bytes")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise MalformedPayload("its nextPageCursor is no text")
    return text
