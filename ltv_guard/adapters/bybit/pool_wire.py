"""What goes over the wire for an account's pool: bodies out, payloads in. Pure.

A pool is one loan: many debts, many collateral coins, one LTV (v5/new-crypto-loan/crypto-loan-position).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from ltv_guard.adapters.bybit.fields import (
    Nonsense,
    Row,
    amount,
    as_row,
    coin,
    decimal,
    identity,
    rows,
    shown,
    whole,
)
from ltv_guard.adapters.bybit.wire import (
    CODES,
    DIRECTIONS,
    STATUSES,
    USUAL_ACCURACY,
    plain,
    repayment_row,
)
from ltv_guard.core.intents import Intent
from ltv_guard.core.loans import (
    Additions,
    Collateral,
    Debt,
    HistoryRow,
    Loan,
    LoanKey,
    Product,
    Totals,
)
from ltv_guard.core.valuation import UNBOUNDED, Tier

POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
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
    candidates: Sequence[str]
    margin_call_ltv: Decimal
    liquidation_ltv: Decimal


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
    """A row of v5/new-crypto-loan/flexible/repay-orders, whoever repaid. Raises Nonsense."""
    return repayment_row(as_row(item), POOL)


def parse_position(result: Row, terms: PoolTerms) -> Loan | None:
    """The pool; None where nothing is owed. Raises Nonsense, or ValueError for what no loan can be."""
    if owes_nothing(result):
        return None
    debts = [_debt(as_row(item), terms.accuracies) for item in rows(result, "borrowList")]
    if not any(debt.amount > 0 for debt in debts):
        raise Nonsense(f"it lists no debt, and owes {shown(result['totalDebt'])}")
    held = [_collateral(as_row(item), terms) for item in rows(result, "collateralList")]
    names = [item.coin for item in held]
    if len(set(names)) < len(names):
        raise Nonsense("it lists a collateral coin twice")
    absent = [name for name in terms.candidates if name not in names and name in terms.tiers]
    totals = Totals(debt_usd=amount(result, "totalDebt"), collateral_usd=amount(result, "totalCollateral"))
    return Loan(
        key=POOL,
        ltv=decimal(result, "ltv"),
        collateral=(*held, *(_none_of(name, terms) for name in absent)),
        debts=tuple(debt for debt in debts if debt.amount > 0),
        margin_call_ltv=terms.margin_call_ltv,
        liquidation_ltv=terms.liquidation_ltv,
        totals=totals,
        additions=ADDITIONS.get(str(result.get("colRes", "0")), Additions.UNKNOWN),
    )


def owes_nothing(result: Row) -> bool:
    """Whether the account has no pool, or one without a debt: that is quiet, and needs no terms."""
    if result.get("totalDebt") in (None, ""):
        return result.get("borrowList") == []
    if amount(result, "totalDebt") != 0:
        return False
    listed = [] if result.get("borrowList") is None else rows(result, "borrowList")
    return all(_debt(as_row(item), {}).amount == 0 for item in listed)


def _debt(row: Row, accuracies: Mapping[str, int]) -> Debt:
    name, fixed = coin(row, "loanCurrency"), amount(row, "fixedTotalDebt")
    return Debt(
        coin=name,
        amount=amount(row, "flexibleTotalDebt") + fixed,
        fixed=fixed,
        accuracy=accuracies.get(name, USUAL_ACCURACY),
    )


def _collateral(row: Row, terms: PoolTerms) -> Collateral:
    name = coin(row, "currency")
    return Collateral(
        coin=name,
        amount=amount(row, "amount"),
        accuracy=terms.accuracies.get(name, USUAL_ACCURACY),
        value_usd=amount(row, "amountUSD"),
        tiers=terms.tiers.get(name, ()),
    )


def _none_of(name: str, terms: PoolTerms) -> Collateral:
    return Collateral(
        coin=name,
        amount=Decimal(0),
        accuracy=terms.accuracies.get(name, USUAL_ACCURACY),
        value_usd=Decimal(0),
        tiers=terms.tiers[name],
    )


def parse_tiers(result: Row) -> Mapping[str, tuple[Tier, ...]]:
    """Tiers by coin (v5/new-crypto-loan/collateral-coin). A group that makes no sense is passed over."""
    found: dict[str, tuple[Tier, ...]] = {}
    for item in rows(result, "collateralRatioConfigList"):
        try:
            row = as_row(item)
            tiers = _tiers(rows(row, "collateralRatioList"))
            names = [name.strip() for name in str(row.get("currencies", "")).split(",")]
        except ValueError:
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
        raise Nonsense("its tiers do not follow one another")
    return tuple(tiers)


def _upper(row: Row) -> Decimal:
    """The last tier may have no end: an empty value, or a negative one."""
    if row.get("maxValue") in (None, ""):
        return UNBOUNDED
    upper = decimal(row, "maxValue")
    return upper if upper > 0 else UNBOUNDED


def parse_history_row(item: object) -> HistoryRow:
    """A row of v5/new-crypto-loan/ltv-adjust-history, whose status says how far it has come.

    Raises Nonsense: a row that can't be read can't be left out, since absence is what the history proves.
    """
    row = as_row(item)
    direction = DIRECTIONS.get(identity(row, "direction"))
    status = STATUSES.get(whole(row, "status"))
    if direction is None or status is None:
        raise Nonsense(f"its direction is {row['direction']}, its status {row['status']}")
    return HistoryRow(
        adjust_id=identity(row, "adjustId"),
        key=POOL,
        coin=coin(row, "collateralCurrency"),
        direction=direction,
        amount=amount(row, "amount"),
        at_ms=whole(row, "adjustTime"),
        ltv_before=_optional(row, "preLTV"),
        ltv_after=_optional(row, "afterLTV"),
        status=status,
    )


def _optional(row: Row, name: str) -> Decimal | None:
    try:
        return amount(row, name)
    except Nonsense:
        return None
