"""What goes over the wire for legacy loans: queries and bodies out, payloads in. Pure.

Wire dictionaries end here: what makes no sense becomes a SetAside or Nonsense, never a wrong number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from urllib.parse import quote, urlencode

from ltv_guard.adapters.bybit.fields import (
    Nonsense,
    Row,
    amount,
    as_row,
    coin,
    decimal,
    identity,
    rows,
    whole,
)
from ltv_guard.adapters.bybit.terms import Terms
from ltv_guard.core.intents import Intent
from ltv_guard.core.loans import (
    Collateral,
    Debt,
    Direction,
    HistoryRow,
    Loan,
    LoanKey,
    Product,
    RowStatus,
    SetAside,
)

DIRECTIONS = {"0": Direction.ADD, "1": Direction.REDUCE}
USUAL_ACCURACY = 8
CODES = {direction: code for code, direction in DIRECTIONS.items()}
OWED = ("totalDebt", "residualInterest", "residualPenaltyInterest")
UNNAMED = "(no orderId)"
STATUSES = {1: RowStatus.SUCCESS, 2: RowStatus.PROCESSING, 3: RowStatus.FAILED}
PLAUSIBLE_ENDS_MS = range(1, 4_102_444_800_000)  # until 2100


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
    items: Iterable[object], terms: Mapping[str, Terms]
) -> tuple[tuple[Loan, ...], tuple[SetAside, ...]]:
    """Loans, and those that are set aside, from the rows of v5/crypto-loan/unpaid-loan-order.

    A row may come twice, since pages are cut while the list moves; two that differ are set aside.
    """
    loans: dict[LoanKey, Loan] = {}
    aside: dict[LoanKey, SetAside] = {}
    for item in items:
        key = order_key(item)
        try:
            loan = _parse_order(as_row(item), key, terms)
        except ValueError as exc:
            aside[key] = SetAside(key=key, why=str(exc))
            continue
        if loans.setdefault(key, loan) != loan:
            aside[key] = SetAside(key=key, why="it is listed twice, with different values")
    good = tuple(loan for key, loan in loans.items() if key not in aside)
    return good, tuple(aside.values())


def coins_of(items: Iterable[object]) -> set[str]:
    """The collateral coins that the rows name, as far as they can be read."""
    found = set()
    for item in items:
        try:
            found.add(coin(as_row(item), "collateralCurrency"))
        except Nonsense:
            continue
    return found


def order_key(item: object) -> LoanKey:
    """Whose row it is; a name for all of those that bear none."""
    try:
        return LoanKey(Product.LEGACY, identity(as_row(item), "orderId"))
    except Nonsense:
        return LoanKey(Product.LEGACY, UNNAMED)


def _parse_order(row: Row, key: LoanKey, terms: Mapping[str, Terms]) -> Loan:
    identity(row, "orderId")
    held = coin(row, "collateralCurrency")
    if held not in terms:
        raise Nonsense(f"the exchange gives no collateral terms for {held}")
    coin_terms = terms[held]
    owed = sum((amount(row, name) for name in OWED), Decimal(0))
    return Loan(
        key=key,
        ltv=decimal(row, "currentLTV"),
        collateral=(
            Collateral(coin=held, amount=amount(row, "collateralAmount"), accuracy=coin_terms.accuracy),
        ),
        debts=(Debt(coin=coin(row, "loanCurrency"), amount=owed, accuracy=accuracy_in(terms, row)),),
        margin_call_ltv=coin_terms.margin_call_ltv,
        liquidation_ltv=coin_terms.liquidation_ltv,
        expires_at_ms=_expiry(row),
    )


def accuracy_in(terms: Mapping[str, Terms], row: Row) -> int:
    """Decimals of the loan's coin, as far as known: those that it has as collateral."""
    known = terms.get(coin(row, "loanCurrency"))
    return known.accuracy if known is not None else USUAL_ACCURACY


def _expiry(row: Row) -> int | None:
    """Flexible loans carry an empty string. A time that no loan can end at is no reason to set it aside."""
    if row.get("expirationTime", "") in {"", None}:
        return None
    ends_at_ms = whole(row, "expirationTime")
    return ends_at_ms if ends_at_ms in PLAUSIBLE_ENDS_MS else None


def parse_history_row(item: object) -> HistoryRow:
    """A row of v5/crypto-loan/ltv-adjust-history. It has no status: what is listed has succeeded.

    Raises Nonsense: a row that can't be read can't be left out, since absence is what the history proves.
    """
    row = as_row(item)
    direction = DIRECTIONS.get(identity(row, "direction"))
    if direction is None:
        raise Nonsense(f"its direction is {row['direction']}")
    return HistoryRow(
        adjust_id=identity(row, "adjustId"),
        key=LoanKey(Product.LEGACY, identity(row, "orderId")),
        coin=coin(row, "collateralCurrency"),
        direction=direction,
        amount=amount(row, "amount"),
        at_ms=whole(row, "adjustTime"),
        ltv_before=_optional(row, "preLTV"),
        ltv_after=_optional(row, "afterLTV"),
    )


def _optional(row: Row, name: str) -> Decimal | None:
    try:
        return amount(row, name)
    except Nonsense:
        return None


def repayment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan/repay (v5/crypto-loan/repay): two strings."""
    body = {"orderId": intent.key.loan_id, "amount": plain(intent.amount)}
    return json.dumps(body, separators=(",", ":")).encode()


def parse_repayment(item: object) -> HistoryRow:
    """A row of v5/crypto-loan/repay-transaction, by the user or by liquidation. Raises Nonsense."""
    return repayment_row(as_row(item), LoanKey(Product.LEGACY, identity(as_row(item), "orderId")))


def repayment_row(row: Row, key: LoanKey) -> HistoryRow:
    """What both products tell of a repayment. Its id is told apart from an adjustment's."""
    status = STATUSES.get(whole(row, "repayStatus"))
    if status is None:
        raise Nonsense(f"its repayStatus is {row['repayStatus']}")
    return HistoryRow(
        adjust_id=repayment_id(identity(row, "repayId")),
        key=key,
        coin=coin(row, "loanCurrency"),
        direction=Direction.REPAY,
        amount=amount(row, "repayAmount"),
        at_ms=whole(row, "repayTime"),
        ltv_before=None,
        ltv_after=None,
        status=status,
    )


def repayment_id(repay_id: str) -> str:
    return f"repay-{repay_id}"


def parse_maximum(result: Row) -> Decimal:
    """Coins that may be released (v5/crypto-loan/reduce-max-collateral-amt)."""
    return amount(result, "maxCollateralAmount")


def parse_page(result: Row) -> tuple[list[object], str]:
    """The rows of a page, and the cursor of the next ("" for none)."""
    cursor = result.get("nextPageCursor")
    if cursor is not None and not isinstance(cursor, str):
        raise Nonsense("its nextPageCursor is no string")
    return rows(result, "list"), cursor or ""
