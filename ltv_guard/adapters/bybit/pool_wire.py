"""What goes over the wire for an account's pool: bodies out, payloads in. Pure.

A pool is one loan: many debts, many collateral coins, one LTV (v5/new-crypto-loan/crypto-loan-position).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise

from ltv_guard.adapters.bybit.doubts import RowNames
from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    as_row,
    coin,
    decimal,
    filled_rows,
    identity,
    moment,
    readable,
    rows,
    shown,
    whole,
)
from ltv_guard.adapters.bybit.oddities import Reading, row_named
from ltv_guard.adapters.bybit.terms import MOST_DECIMALS
from ltv_guard.adapters.bybit.wire import (
    CODES,
    STATUSES,
    USUAL_ACCURACY,
    direction_of,
    plain,
    repayment_names,
    repayment_row,
)
from ltv_guard.core.amounts.rounding import POOL_QUOTED_TO
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import (
    IMPLAUSIBLE_LTV,
    Additions,
    Collateral,
    Debt,
    Loan,
    LoanKey,
    Product,
    Totals,
)
from ltv_guard.core.model.tiers import UNBOUNDED, Tier

POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
ADJUSTMENT_ROW = RowNames(key=lambda _: POOL, direction=direction_of)
REPAYMENT_ROW = repayment_names(lambda _: POOL)
UNNAMED = "(no currency)"
NOT_REPAID = "the pool is guarded, and nothing of this debt is repaid"
TIERS_OF_BEFORE = "its coins keep the tiers of before; without any, nothing of them is added"
NOT_ADDED_TO = "the pool is guarded, and nothing of this coin is added or released"
ADDITIONS = {
    "0": Additions.TAKEN,
    "1": Additions.NEARLY_FULL,
    "2": Additions.REFUSED,
    "-1": Additions.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTerms:
    """What the exchange says of collateral coins, and the operator of the pool's thresholds.

    `candidates` are coins that the operator would add, in the pool or not.
    """

    tiers: Mapping[str, tuple[Tier, ...]]
    accuracies: Mapping[str, int]
    debt_accuracies: Mapping[str, int] = field(default_factory=dict)
    candidates: Sequence[str]
    margin_call_ltv: Decimal
    liquidation_ltv: Decimal


def parse_debt_accuracies(result: Row) -> Mapping[str, int]:
    """Decimals of flexible debts by coin (v5/new-crypto-loan/loan-coin); odd rows are left out."""
    found: dict[str, int] = {}
    for item in rows(result, "list"):
        try:
            row = as_row(item)
            name, decimals = coin(row, "currency"), whole(row, "flexibleBorrowingAccuracy")
        except MalformedPayload:
            continue
        if 0 <= decimals <= MOST_DECIMALS:
            found[name] = min(decimals, found.get(name, decimals))
    return found


def adjustment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan-common/adjust-ltv (v5/new-crypto-loan/adjust-ltv): three strings."""
    body = {
        "currency": intent.coin,
        "amount": plain(intent.amount),
        "direction": CODES[intent.direction],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def repayment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan-flexible/repay (v5/new-crypto-loan/flexible/repay): two strings."""
    body = {"loanCurrency": intent.coin, "amount": plain(intent.amount)}
    return json.dumps(body, separators=(",", ":")).encode()


def parse_repayment(item: object) -> HistoryRow:
    """A row of v5/new-crypto-loan/flexible/repay-orders, whoever repaid. Raises MalformedPayload."""
    return repayment_row(as_row(item), POOL)


def parse_position(result: Row, terms: PoolTerms, reading: Reading | None = None) -> Loan | None:
    """The pool; None where nothing is owed. Raises MalformedPayload, or ValueError for what no loan can be.

    It takes two of LTV, debt and collateral as sums. A coin whose amount is odd is not added to, and a debt
    that is odd is not repaid: the exchange gives the LTV.
    """
    if owes_nothing(result):
        return None
    reading = reading or Reading("position")
    ltv, totals = _sums(result, reading)
    debts = _debts(result, {**terms.accuracies, **terms.debt_accuracies}, reading)
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


def owes_nothing(result: Row) -> bool:
    """Whether the account has no pool, or one without a debt: that is quiet, and needs no terms."""
    total = readable(result, "totalDebt", amount)
    if total is not None and total > 0:
        return False
    listed = readable(result, "borrowList", rows)
    if listed is None and (total is None or result.get("borrowList") is not None):
        return False
    debts = [_debt(item, {}, Reading("")) for item in listed or []]
    if total is None and result.get("ltv") not in (None, "", "0", 0):
        return False
    return not any(debt is None or debt.amount > 0 or (total is None and debt.unread) for debt in debts)


def _sums(result: Row, reading: Reading) -> tuple[Decimal, Totals]:
    """LTV, debt and collateral in USD: the LTV is the quotient of the two, so that any two tell the third."""
    odd = []
    found: dict[str, Decimal | None] = {}
    for name in ("ltv", "totalDebt", "totalCollateral"):
        try:
            found[name] = amount(result, name)
        except MalformedPayload as exc:
            odd.append(exc)
            found[name] = None
    if (found["ltv"] or 0) >= IMPLAUSIBLE_LTV:
        odd.append(MalformedPayload(f"its ltv is {found['ltv']}, which no loan can have"))
        found["ltv"] = None
    ltv, debt, counted = found["ltv"], found["totalDebt"], found["totalCollateral"]
    if len(odd) > 1:
        raise odd[0]
    if ltv is None and debt is not None and counted:
        ltv = (debt / counted).quantize(POOL_QUOTED_TO) if debt / counted < IMPLAUSIBLE_LTV else None
    elif debt is None and ltv is not None and counted is not None:
        debt = ltv * counted
    elif counted is None and debt is not None and ltv:
        counted = debt / ltv
    if ltv is None or debt is None or counted is None:
        raise odd[0] if odd else MalformedPayload("its sums make no LTV")
    for problem in odd:
        reading.passes_over("pool", problem, "it is reckoned from the pool's other two sums")
    return ltv, Totals(debt_usd=debt, collateral_usd=counted)


def _debts(result: Row, accuracies: Mapping[str, int], reading: Reading) -> list[Debt]:
    try:
        listed = rows(result, "borrowList")
    except MalformedPayload as exc:
        reading.passes_over("pool", exc, "it is guarded, and nothing of it is repaid")
        return []
    found: dict[str, Debt] = {}
    for item in listed:
        debt = _debt(item, accuracies, reading)
        if debt is None:
            continue
        if found.setdefault(debt.coin, debt) != debt:
            found[debt.coin] = replace(debt, unread=True)
            reading.passes_over(debt.coin, "its debt is listed twice, differently", NOT_REPAID)
    return list(found.values())


def _debt(item: object, accuracies: Mapping[str, int], reading: Reading) -> Debt | None:
    """A debt, as far as it can be read; None where its coin can't."""
    try:
        row = as_row(item)
        name = coin(row, "loanCurrency")
    except MalformedPayload as exc:
        reading.passes_over(row_named(item, "loanCurrency"), exc, NOT_REPAID)
        return None
    flexible, fixed = (readable(row, part, amount) for part in ("flexibleTotalDebt", "fixedTotalDebt"))
    unread = flexible is None or fixed is None
    if unread:
        part = "flexibleTotalDebt" if flexible is None else "fixedTotalDebt"
        reading.passes_over(name, f"its {part} is {shown(row.get(part))}", NOT_REPAID)
    return Debt(
        coin=name,
        amount=(flexible or Decimal(0)) + (fixed or Decimal(0)),
        fixed=fixed or Decimal(0),
        accuracy=accuracies.get(name, USUAL_ACCURACY),
        unread=unread,
    )


def _held(result: Row, terms: PoolTerms, reading: Reading) -> list[Collateral]:
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


def _collateral(row: Row, name: str, terms: PoolTerms, reading: Reading) -> Collateral:
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


def _none_of(name: str, terms: PoolTerms) -> Collateral:
    return Collateral(
        coin=name,
        amount=Decimal(0),
        accuracy=terms.accuracies.get(name, USUAL_ACCURACY),
        value_usd=Decimal(0),
        tiers=terms.tiers[name],
    )


def parse_tiers(result: Row, reading: Reading | None = None) -> Mapping[str, tuple[Tier, ...]]:
    """Tiers by coin (v5/new-crypto-loan/collateral-coin). A group that makes no sense is passed over."""
    reading = reading or Reading("tiers")
    found: dict[str, tuple[Tier, ...]] = {}
    for item in filled_rows(result, "collateralRatioConfigList"):
        try:
            row = as_row(item)
            tiers = _tiers(filled_rows(row, "collateralRatioList"))
            names = [name.strip() for name in str(row.get("currencies", "")).split(",")]
        except ValueError as exc:
            reading.passes_over(row_named(item, "currencies"), exc, TIERS_OF_BEFORE)
            continue
        found |= {name: tiers for name in names if name}
    return found


def _tiers(items: Iterable[object]) -> tuple[Tier, ...]:
    tiers = [
        Tier(ratio=amount(row, "collateralRatio"), lower=amount(row, "minValue"), upper=_upper(row))
        for row in map(as_row, items)
    ]
    tiers.sort(key=lambda tier: tier.lower)
    if not tiers or any(one.upper != two.lower for one, two in pairwise(tiers)):
        raise MalformedPayload("its tiers do not follow one another")
    return tuple(tiers)


def _upper(row: Row) -> Decimal:
    """The last tier may have no end: an empty value, or a negative one."""
    if row.get("maxValue") in (None, ""):
        return UNBOUNDED
    upper = decimal(row, "maxValue")
    return upper if upper > 0 else UNBOUNDED


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
        ltv_before=_optional(row, "preLTV"),
        ltv_after=_optional(row, "afterLTV"),
        status=status,
    )


def _optional(row: Row, name: str) -> Decimal | None:
    try:
        return amount(row, name)
    except MalformedPayload:
        return None
