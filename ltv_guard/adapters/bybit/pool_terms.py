"""What is known of a pool's coins: tiers, accuracies, and the operator's thresholds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    as_row,
    coin,
    decimal,
    filled_rows,
    rows,
    whole,
)
from ltv_guard.adapters.bybit.oddities import Reading, row_named
from ltv_guard.adapters.bybit.terms import MOST_DECIMALS
from ltv_guard.core.model.tiers import UNBOUNDED, Tier

TIERS_OF_BEFORE = "its coins keep the tiers of before; without any, nothing of them is added"


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionTerms:
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
    """Decimals of flexible debts by coin (v5/new-crypto-loan/loan-coin); odd rows are left out.

    Raises MalformedPayload where there is no list.
    """
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


def parse_tiers(result: Row, reading: Reading | None = None) -> Mapping[str, tuple[Tier, ...]]:
    """Tiers by coin (v5/new-crypto-loan/collateral-coin). A group that makes no sense is passed over.

    Raises MalformedPayload where there is no list.
    """
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
