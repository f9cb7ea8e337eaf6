"""What a chart is drawn from: LTVs and prices, once a minute. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import LoanKey

EVERY_MS = 60_000
KEPT_MS = 7 * 86_400_000
MOST_LOANS = 20  # of an account, those nearest to liquidation


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSample:
    """One account at one minute: `at_ms` is wall time, `prices` are USD per coin of the price stream."""

    at_ms: int
    ltvs: Mapping[LoanKey, Decimal]
    prices: Mapping[str, Decimal]
