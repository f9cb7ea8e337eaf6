"""What a coin is worth by what a pool shows that it counts for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ltv_guard.core.model.loans import Collateral
from ltv_guard.core.model.tiers import Tier


def implied_price(held: Collateral) -> Decimal | None:
    """USD per coin, less the haircut, by what it is shown to count for; None where that tells nothing."""
    value = held.value_usd
    if value is None or held.amount <= 0 or not held.tiers:
        return None
    readings = [price for price in (_by_coins(held, value), _by_usd(held, value)) if price is not None]
    # A lower price asks for more coins: an add is not to be too small.
    return min(readings, default=None)


def _by_coins(held: Collateral, value: Decimal) -> Decimal | None:
    """The price where the tiers' bounds are coins."""
    counted = sum((part * ratio for part, ratio in _parts(held.tiers, held.amount)), Decimal(0))
    return value / counted if counted > 0 else None


def _by_usd(held: Collateral, value: Decimal) -> Decimal | None:
    """The price where they are USD: up the tiers until so much counts. None where it never would."""
    left, worth = value, Decimal(0)
    for tier in held.tiers:
        if tier.ratio <= 0:
            break
        room = (tier.upper - tier.lower) * tier.ratio
        if left <= room:
            return (tier.lower + left / tier.ratio) / held.amount
        left -= room
        worth = tier.upper
    return worth / held.amount if worth > 0 and left <= value / 100 else None


def _parts(tiers: tuple[Tier, ...], amount: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    for tier in tiers:
        if amount > tier.lower:
            yield min(amount, tier.upper) - tier.lower, tier.ratio
