"""Collateral terms of legacy loans: per coin, accuracy, margin-call and liquidation LTV. Pure.

Payload of v5/crypto-loan/collateral-coin, which lists every coin once for each VIP level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, amount, as_row, coin, filled_rows, whole
from ltv_guard.adapters.bybit.oddities import Reading, row_named

MOST_DECIMALS = 18
NOT_KNOWN = "these terms are not known; those of before, or of another level, hold where there are any"
USUAL_MARGIN_CALL, USUAL_LIQUIDATION = Decimal("0.87"), Decimal("0.95")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the exchange demands of a coin as collateral. LTVs are ratios, `accuracy` is in decimals."""

    coin: str
    accuracy: int
    margin_call_ltv: Decimal
    liquidation_ltv: Decimal


def usual_terms(coin: str) -> Terms:
    """Those of the documentation's example, for a coin whose own can't be read."""
    return Terms(coin=coin, accuracy=8, margin_call_ltv=USUAL_MARGIN_CALL, liquidation_ltv=USUAL_LIQUIDATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsOfLevels:
    """Those of every VIP level, by level and coin: what the exchange answers to every key alike."""

    of_level: Mapping[str, Mapping[str, Sequence[Terms]]]

    def at(self, vip_level: str | None) -> Mapping[str, Terms]:
        """The most cautious terms of each coin there; of all levels where that one has no such coin."""
        every: dict[str, list[Terms]] = {}
        for found in self.of_level.values():
            for name, rows in found.items():
                every.setdefault(name, []).extend(rows)
        wanted = _plain(vip_level or "")
        own = self.of_level.get(wanted, {}) if wanted else {}
        return {name: _most_cautious(own.get(name, found)) for name, found in every.items()}


def parse_levels(result: Row, reading: Reading | None = None) -> TermsOfLevels:
    """A row that makes no sense is passed over. Its coin has those of before, of other levels, or usual ones.

    Raises MalformedPayload where the payload as a whole is unreadable.
    """
    reading = reading or Reading("terms")
    found: dict[str, dict[str, list[Terms]]] = {}
    for group in filled_rows(result, "vipCoinList"):
        try:
            tier = as_row(group)
            listed = filled_rows(tier, "list")
        except MalformedPayload as exc:
            reading.passes_over(row_named(group, "vipLevel"), exc, NOT_KNOWN)
            continue
        level = found.setdefault(_plain(str(tier.get("vipLevel", ""))), {})
        for row in _readable(listed, reading):
            level.setdefault(row.coin, []).append(row)
    return TermsOfLevels(of_level=found)


def _readable(items: Iterable[object], reading: Reading) -> Iterable[Terms]:
    for item in items:
        try:
            yield _parse_row(as_row(item))
        except MalformedPayload as exc:
            reading.passes_over(row_named(item, "currency"), exc, NOT_KNOWN)


def _parse_row(row: Row) -> Terms:
    terms = Terms(
        coin=coin(row, "currency"),
        accuracy=whole(row, "collateralAccuracy"),
        margin_call_ltv=amount(row, "marginCallLTV"),
        liquidation_ltv=amount(row, "liquidationLTV"),
    )
    if not 0 <= terms.accuracy <= MOST_DECIMALS:
        raise MalformedPayload(f"its collateralAccuracy is {terms.accuracy}")
    if not 0 < terms.margin_call_ltv <= terms.liquidation_ltv <= 1:
        raise MalformedPayload("its marginCallLTV and liquidationLTV are out of order")
    return terms


def _most_cautious(found: Sequence[Terms]) -> Terms:
    return Terms(
        coin=found[0].coin,
        accuracy=min(terms.accuracy for terms in found),
        margin_call_ltv=min(terms.margin_call_ltv for terms in found),
        liquidation_ltv=min(terms.liquidation_ltv for terms in found),
    )


def _plain(level: str) -> str:
    """One spelling for each level: the key's page says `No VIP` and `PRO-1`, the terms' `VIP0` and `PRO1`."""
    plain = re.sub(r"[^A-Z0-9]", "", level.upper())
    return "VIP0" if plain == "NOVIP" else plain
