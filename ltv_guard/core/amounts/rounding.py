"""How much: the arithmetic of an adjustment, without prices: LTV x collateral does not change by it. Pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ltv_guard.core.model.loans import Collateral

# The exchange quotes an LTV rounded to this, so the true one may be this much more.
QUOTED_TO = Decimal("0.0001")
POOL_QUOTED_TO = Decimal("0.000001")


def to_add(held: Collateral, ltv: Decimal, target: Decimal) -> Decimal:
    """Coins that bring `ltv` to at most `target`, rounded up to the coin's accuracy; 0 if it is there."""
    coins = held.amount * ((ltv + QUOTED_TO) / target - 1)
    return max(Decimal(0), _round(coins, held.step, ROUND_CEILING))


def to_release(held: Collateral, ltv: Decimal, target: Decimal) -> Decimal:
    """Coins that bring `ltv` up to at most `target`, rounded down to the coin's accuracy; 0 if none."""
    coins = held.amount * (1 - (ltv + QUOTED_TO) / target)
    return max(Decimal(0), _round(coins, held.step, ROUND_FLOOR))


def ltv_after(held: Decimal, ltv: Decimal, change: Decimal) -> Decimal:
    """The LTV once `change` coins (negative: taken out) have moved, at unchanged prices."""
    remaining = held + change
    return ltv * held / remaining if remaining > 0 else Decimal("Infinity")


def whole_steps(coins: Decimal, step: Decimal) -> Decimal:
    """`coins` rounded down to what the exchange takes."""
    return _round(coins, step, ROUND_FLOOR)


def whole_steps_up(coins: Decimal, step: Decimal) -> Decimal:
    """`coins` rounded up to what the exchange takes."""
    return _round(coins, step, ROUND_CEILING)


def _round(coins: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (coins / step).to_integral_value(rounding=rounding) * step
