"""What the exchange rounds: how exactly it quotes an LTV, and the steps of amounts that it takes. Pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

# The exchange quotes an LTV rounded to this, so the true one may be this much more.
QUOTED_TO = Decimal("0.0001")
POOL_QUOTED_TO = Decimal("0.000001")


def whole_steps(coins: Decimal, step: Decimal) -> Decimal:
    """`coins` rounded down to whole steps (coins), which is what the exchange takes."""
    return _round(coins, step, ROUND_FLOOR)


def whole_steps_up(coins: Decimal, step: Decimal) -> Decimal:
    """`coins` rounded up to whole steps (coins), which is what the exchange takes."""
    return _round(coins, step, ROUND_CEILING)


def _round(coins: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (coins / step).to_integral_value(rounding=rounding) * step
