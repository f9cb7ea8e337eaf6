"""What goes over the wire for orders and pools alike: queries out, rows of histories in, and pages. Pure.

Wire dictionaries end here: what makes no sense becomes a SetAside or MalformedPayload, never a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from urllib.parse import quote, urlencode

from ltv_guard.adapters.bybit.doubts import RowNames
from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    coin,
    identity,
    moment,
    rows,
    shown,
    whole,
)
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.loans import Direction, LoanKey

DIRECTIONS = {"0": Direction.ADD, "1": Direction.REDUCE}
CODES = {direction: code for code, direction in DIRECTIONS.items()}
STATUSES = {1: RowStatus.SUCCESS, 2: RowStatus.PROCESSING, 3: RowStatus.FAILED}
USUAL_ACCURACY = 8
LONGEST_CURSOR = 1024


def query_string(params: Mapping[str, str]) -> str:
    """The query exactly as it is signed and sent: every reserved character as %XX, a comma included."""
    return urlencode(params, quote_via=quote, safe="")


def plain(value: Decimal) -> str:
    """An amount without exponent: the exchange refuses 1E-8."""
    return format(value, "f")


def direction_of(row: Row) -> Direction:
    """What an adjustment's row did: 0 adds, 1 releases (v5/crypto-loan/adjust-collateral).

    Raises MalformedPayload.
    """
    direction = DIRECTIONS.get(identity(row, "direction"))
    if direction is None:
        raise MalformedPayload(f"its direction is {shown(row['direction'])}, neither 0 nor 1")
    return direction


def repayment_row(row: Row, key: LoanKey) -> HistoryRow:
    """What both products tell of a repayment. Its id is told apart from an adjustment's.

    Of v5/crypto-loan/repay-transaction, v5/new-crypto-loan/flexible/repay-orders. Raises MalformedPayload.
    """
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


def repayment_id(repay_id: str) -> str:
    """The id of its history row: no adjustId can be the same."""
    return f"repay-{repay_id}"


def repayment_names(key: Callable[[Row], LoanKey]) -> RowNames:
    """How rows of a list of repayments call things."""
    return RowNames(
        adjust_id="repayId",
        written_id=repayment_id,
        key=key,
        direction=lambda _: Direction.REPAY,
        coin="loanCurrency",
        amount="repayAmount",
        at="repayTime",
    )


def parse_maximum(result: Row) -> Decimal:
    """Coins that may be released (v5/crypto-loan/reduce-max-collateral-amt)."""
    return amount(result, "maxCollateralAmount")


def parse_page(result: Row) -> tuple[list[object], str]:
    """The rows of a page (`list`), and the cursor of the next (`nextPageCursor`; "" for none).

    All lists of v5 have them so. Raises MalformedPayload.
    """
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
