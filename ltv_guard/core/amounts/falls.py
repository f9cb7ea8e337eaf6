"""How far prices may fall until an LTV is somewhere. Pure."""

from __future__ import annotations

from decimal import Decimal

STEP = Decimal("0.0001")


def fall_to(ltv: Decimal, threshold: Decimal) -> Decimal:
    """The part of its price that the collateral has to lose for the LTV to be at `threshold`; 0 if it is."""
    return max(Decimal(0), 1 - ltv / threshold).quantize(STEP)
