"""The tiers of a coin as collateral: the more of it, the lower the ratio. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

UNBOUNDED = Decimal("Infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """From `lower` up to `upper` (coins or USD: see Unit), a coin counts at `ratio` of its value."""

    ratio: Decimal
    lower: Decimal
    upper: Decimal = UNBOUNDED

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1 or not 0 <= self.lower < self.upper:
            raise ValueError(
                f"a tier from {self.lower:f} to {self.upper:f} at {self.ratio:f} is not plausible"
            )


FLAT = (Tier(ratio=Decimal(1), lower=Decimal(0)),)
