"""How far prices may fall until an LTV is somewhere. Pure."""

from __future__ import annotations

from decimal import Decimal

STEP = Decimal("0.0001")


def fall_to(ltv: Decimal, threshold: Decimal) -> Decimal:
    """The fall of the collateral's price, as a ratio, that brings the LTV to the threshold; 0 if there."""
    return max(Decimal(0), 1 - ltv / threshold).quantize(STEP)
