"""What goes over the wire for an account's pool: bodies out, payloads in. Pure.

A pool is one loan: many debts, many collateral coins, one LTV (v5/new-crypto-loan/crypto-loan-position).
"""

from __future__ import annotations

import json
from dataclasses import replace
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
    rows,
    shown,
    whole,
)
from ltv_guard.adapters.bybit.oddities import Reading, row_named
from ltv_guard.adapters.bybit.pool_debts import debts_of, owes_nothing, sums_of
from ltv_guard.adapters.bybit.pool_terms import PositionTerms
from ltv_guard.adapters.bybit.wire import (
    CODES,
    STATUSES,
    USUAL_ACCURACY,
    direction_of,
    plain,
    repayment_names,
    repayment_row,
)
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Additions, Collateral, Loan, LoanKey, Product

POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
ADJUSTMENT_ROW = RowNames(key=lambda _: POOL, direction=direction_of)
REPAYMENT_ROW = repayment_names(lambda _: POOL)
WITH_COLLATERAL = 7
UNNAMED = "(no currency)"
NOT_ADDED_TO = "the pool is guarded, and nothing of this coin is added or released"
ADDITIONS = {
    "0": Additions.TAKEN,
    "1": Additions.NEARLY_FULL,
    "2": Additions.REFUSED,
    "-1": Additions.UNKNOWN,
}


def adjustment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan-common/adjust-ltv (v5/new-crypto-loan/adjust-ltv): three strings."""
    body = {
        "currency": intent.coin,
        "amount": plain(intent.amount),
        "direction": CODES[intent.direction],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def repayment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan-flexible/repay, or (three strings) of repay-collateral beside it.

    v5/new-crypto-loan/flexible/repay, v5/new-crypto-loan/flexible/repay-collateral: `amount` is in the debt's
    coin, as their examples have it.
    """
    body = {"loanCurrency": intent.coin, "amount": plain(intent.amount)}
    if intent.collateral_coin is not None:
        body["collateralCoin"] = intent.collateral_coin
    return json.dumps(body, separators=(",", ":")).encode()


def parse_repayment(item: object) -> HistoryRow:
    """A row of v5/new-crypto-loan/flexible/repay-orders, whoever repaid. Raises MalformedPayload.

    One whose `repayType` can't be read may have been paid with collateral.
    """
    row = as_row(item)
    return replace(repayment_row(row, POOL), with_collateral=paid_with_collateral(row))


def paid_with_collateral(row: Row) -> bool | None:
    """Whether a repayment was; None where its row does not say."""
    kind = readable(row, "repayType", whole)
    return None if kind is None else kind == WITH_COLLATERAL


def parse_position(result: Row, terms: PositionTerms, reading: Reading | None = None) -> Loan | None:
    """The pool; None where nothing is owed. Raises MalformedPayload, or ValueError for what no loan can be.

    It takes two of LTV, debt and collateral as sums. A coin whose amount is odd is not added to, and a debt
    that is odd is not repaid: the exchange gives the LTV.
    """
    if owes_nothing(result):
        return None
    reading = reading or Reading("position")
    ltv, totals = sums_of(result, reading)
    debts = debts_of(result, {**terms.accuracies, **terms.debt_accuracies}, reading)
    held = _held(result, terms, reading)
    known = {item.coin for item in held}
    absent = [name for name in terms.candidates if name not in known and name in terms.tiers]
    return Loan(
        key=POOL,
        ltv=ltv,
        collateral=(*held, *(_none_of(name, terms) for name in absent)),
        debts=tuple(debt for debt in debts if debt.amount > 0 or debt.unread),
        margin_call_ltv=terms.margin_call_ltv,
        liquidation_ltv=terms.liquidation_ltv,
        totals=totals,
        additions=ADDITIONS.get(str(result.get("colRes", "0")), Additions.UNKNOWN),
    )


def _held(result: Row, terms: PositionTerms, reading: Reading) -> list[Collateral]:
    """The coins that secure the pool; those that can't be read are there, but not how much of them."""
    found: dict[str, Collateral] = {}
    for item in rows(result, "collateralList"):
        try:
            row = as_row(item)
            name = coin(row, "currency")
        except MalformedPayload as exc:
            reading.passes_over(row_named(item, "currency"), exc, NOT_ADDED_TO)
            found[UNNAMED] = _unread(UNNAMED)
            continue
        try:
            held = _collateral(row, name, terms, reading)
        except MalformedPayload as exc:
            reading.passes_over(name, exc, NOT_ADDED_TO)
            held = _unread(name)
        if found.setdefault(name, held) != held:
            reading.passes_over(name, "it is listed twice, differently", NOT_ADDED_TO)
            found[name] = _unread(name)
    return list(found.values())


def _unread(name: str) -> Collateral:
    return Collateral(coin=name, amount=Decimal(0), accuracy=USUAL_ACCURACY, tiers=(), unread=True)


def _collateral(row: Row, name: str, terms: PositionTerms, reading: Reading) -> Collateral:
    value_usd = readable(row, "amountUSD", amount)
    if value_usd is None:
        why = f"its amountUSD is {shown(row.get('amountUSD'))}"
        reading.passes_over(name, why, "its worth is reckoned from price and terms")
    return Collateral(
        coin=name,
        amount=amount(row, "amount"),
        accuracy=terms.accuracies.get(name, USUAL_ACCURACY),
        value_usd=value_usd,
        tiers=terms.tiers.get(name, ()),
        closed=ADDITIONS.get(str(row.get("colRes"))) is Additions.REFUSED,
    )


def _none_of(name: str, terms: PositionTerms) -> Collateral:
    return Collateral(
        coin=name,
        amount=Decimal(0),
        accuracy=terms.accuracies.get(name, USUAL_ACCURACY),
        value_usd=Decimal(0),
        tiers=terms.tiers[name],
    )


def parse_history_row(item: object) -> HistoryRow:
    """A row of v5/new-crypto-loan/ltv-adjust-history, whose status says how far it has come.

    Raises MalformedPayload: a row that can't be read can't be left out, for the history proves absence.
    """
    row = as_row(item)
    status = STATUSES.get(whole(row, "status"))
    if status is None:
        raise MalformedPayload(f"its status is {shown(row['status'])}, which is none that is known")
    return HistoryRow(
        adjust_id=identity(row, "adjustId"),
        key=POOL,
        coin=coin(row, "collateralCurrency"),
        direction=direction_of(row),
        amount=amount(row, "amount"),
        at_ms=moment(row, "adjustTime"),
        ltv_before=readable(row, "preLTV", amount),
        ltv_after=readable(row, "afterLTV", amount),
        status=status,
    )
