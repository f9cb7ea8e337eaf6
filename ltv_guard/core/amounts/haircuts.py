"""What coins are worth as a pool's collateral: USD after the tiered haircut. Pure.

Each coin has tiers: so much of it counts at one ratio, the next at a lower one
(v5/new-crypto-loan/collateral-coin). The documentation leaves open whether a tier's bounds are coins or USD.
Both readings are kept until what the exchange shows for the coins at hand tells them apart. Until then the
one that protects the borrower holds: an add is not too small, a release not too large. The exchange reads the
tiers of all coins alike, so what one coin tells holds for the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.model.tiers import FLAT, UNBOUNDED, Tier

TELLING = Decimal("0.02")  # a reading this far from what is shown is not the exchange's
CENT = Decimal("0.01")  # what is shown is rounded to this: dust tells nothing


class Unit(StrEnum):
    """What a tier's bounds count."""

    COINS = "coins"
    USD = "usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Coins of one kind in a pool. `shown_usd` is what the exchange says they count for; None: not known.

    `units` are the readings of tiers that the pool's other coins leave possible.
    """

    amount: Decimal
    price_usd: Decimal
    tiers: Sequence[Tier] = FLAT
    shown_usd: Decimal | None = None
    units: Collection[Unit] = tuple(Unit)


def counted_usd(holding: Holding, amount: Decimal, unit: Unit) -> Decimal:
    """USD that `amount` coins count for under one reading of the tiers."""
    return sum(
        (coins * ratio * holding.price_usd for coins, ratio in _parts(holding, amount, unit)), Decimal(0)
    )


def coins_worth(holding: Holding, value_usd: Decimal) -> Decimal:
    """Coins to add so that the holding counts for `value_usd` more, by the reading that asks for most.

    Infinite where no amount of it would.
    """
    return max(_to_gain(holding, value_usd, unit, scale) for unit, scale in _readings(holding))


def coins_at_most(holding: Holding, value_usd: Decimal) -> Decimal:
    """Coins to add so that it counts for at most `value_usd` more, by the reading that allows least."""
    return min(_to_gain(holding, value_usd, unit, scale) for unit, scale in _readings(holding))


def coins_within(holding: Holding, value_usd: Decimal) -> Decimal:
    """Coins to take out so that it counts for at most `value_usd` less, by the reading that allows least."""
    return min(_to_lose(holding, value_usd, unit, scale) for unit, scale in _readings(holding))


def coins_toward(holding: Holding, value_usd: Decimal) -> Decimal:
    """Coins to add so that it counts for `value_usd` more, or for as much more as it ever will."""
    return max(
        min(_to_gain(holding, value_usd, unit, scale), _room(holding, unit, scale))
        for unit, scale in _readings(holding)
    )


def gain_usd(holding: Holding, coins: Decimal) -> Decimal:
    """USD that it counts for more with `coins` more (negative: fewer), by the least favourable reading."""
    return min(_gains(holding, coins))


def most_gain_usd(holding: Holding, coins: Decimal) -> Decimal:
    """The same by the most favourable reading."""
    return max(_gains(holding, coins))


def _gains(holding: Holding, coins: Decimal) -> list[Decimal]:
    after = holding.amount + coins
    return [
        (counted_usd(holding, after, unit) - counted_usd(holding, holding.amount, unit)) * scale
        for unit, scale in _readings(holding)
    ]


def units_told(holdings: Iterable[Holding]) -> tuple[Unit, ...]:
    """The readings of tiers that agree with what is shown of every holding; all where none does."""
    told = [{unit for unit, _ in _matching(holding)} or set(Unit) for holding in holdings]
    left = set(Unit).intersection(*told)
    return tuple(unit for unit in Unit if unit in left) or tuple(Unit)


def _readings(holding: Holding) -> list[tuple[Unit, Decimal]]:
    """The readings that what is shown allows, each with the factor that makes it agree exactly."""
    found = _matching(holding) or _scaled(holding)
    return [(unit, scale) for unit, scale in found if unit in holding.units] or found


def _matching(holding: Holding) -> list[tuple[Unit, Decimal]]:
    """The readings that come near to what is shown; both where nothing is shown to compare with."""
    if holding.shown_usd is None or holding.amount == 0:
        return [(unit, Decimal(1)) for unit in Unit]
    return [(unit, scale) for unit, scale in _scaled(holding) if abs(scale - 1) <= TELLING]


def _scaled(holding: Holding) -> list[tuple[Unit, Decimal]]:
    """Every reading under which the holding counts for something, with its factor."""
    shown = holding.shown_usd or Decimal(0)
    found = []
    for unit in Unit:
        reckoned = counted_usd(holding, holding.amount, unit)
        if abs(shown - reckoned) <= CENT:
            found.append((unit, Decimal(1)))
        elif reckoned > 0:
            found.append((unit, shown / reckoned))
    return found or [(unit, Decimal(1)) for unit in Unit]


def _parts(holding: Holding, amount: Decimal, unit: Unit) -> Iterator[tuple[Decimal, Decimal]]:
    """How `amount` coins fall into the tiers: (coins, ratio) each. Beyond the last they count for nothing."""
    for tier in holding.tiers:
        lower, upper = _in_coins(holding, tier, unit)
        if amount > lower:
            yield min(amount, upper) - lower, tier.ratio


def _in_coins(holding: Holding, tier: Tier, unit: Unit) -> tuple[Decimal, Decimal]:
    if unit is Unit.COINS:
        return tier.lower, tier.upper
    upper = tier.upper / holding.price_usd if tier.upper.is_finite() else UNBOUNDED
    return tier.lower / holding.price_usd, upper


def _room(holding: Holding, unit: Unit, scale: Decimal) -> Decimal:
    """Coins that can be added before no more of them count; infinite where there is no such end."""
    ends = [_in_coins(holding, tier, unit)[1] for tier in holding.tiers if tier.ratio * scale > 0]
    return max(Decimal(0), max(ends, default=Decimal(0)) - holding.amount)


def _to_gain(holding: Holding, value_usd: Decimal, unit: Unit, scale: Decimal) -> Decimal:
    """Coins upward from what is held, tier by tier, until they count for `value_usd`."""
    missing, reached = value_usd, holding.amount
    for tier in holding.tiers:
        if missing <= 0:
            break
        lower, upper = _in_coins(holding, tier, unit)
        start = max(lower, reached)
        per_coin = tier.ratio * holding.price_usd * scale
        if upper <= start or per_coin <= 0:
            continue
        if missing <= (upper - start) * per_coin:
            return start + missing / per_coin - holding.amount
        missing -= (upper - start) * per_coin
        reached = upper
    return UNBOUNDED if missing > 0 else reached - holding.amount


def _to_lose(holding: Holding, value_usd: Decimal, unit: Unit, scale: Decimal) -> Decimal:
    """Coins downward from what is held, until they counted for `value_usd`; at most all of them."""
    left, coins = value_usd, Decimal(0)
    top = holding.amount
    for tier in reversed(holding.tiers):
        lower, upper = _in_coins(holding, tier, unit)
        if top > upper:
            coins += top - upper  # beyond the last tier: counts for nothing
            top = upper
        held = top - lower
        if held <= 0:
            continue
        per_coin = tier.ratio * holding.price_usd * scale
        if per_coin > 0 and left < held * per_coin:
            return min(coins + left / per_coin, holding.amount)
        coins += held
        left -= held * per_coin
        top = lower
    return min(coins, holding.amount)  # the parts may add up to a digit more
