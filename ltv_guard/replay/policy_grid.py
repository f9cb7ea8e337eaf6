"""Which triggers, targets and wallets a frontier tries with each other. Pure values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

from ltv_guard.core.model.policy import AddRule

APART = Decimal("0.03")  # a target nearer to its trigger is reached by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The triggers and targets (LTVs), and the multiples of the wallet, that are tried with each other."""

    triggers: Sequence[Decimal]
    targets: Sequence[Decimal]
    sizes: Sequence[Decimal]

    def points(self) -> Iterator[tuple[AddRule, Decimal]]:
        """Without targets too near their trigger."""
        for trigger, target in product(self.triggers, self.targets):
            if target <= trigger - APART:
                yield from ((AddRule(trigger_ltv=trigger, target_ltv=target), size) for size in self.sizes)


def steps(first: str, last: str, step: str) -> tuple[Decimal, ...]:
    """From the first to the last."""
    count = int((Decimal(last) - Decimal(first)) / Decimal(step))
    return tuple(Decimal(first) + Decimal(step) * number for number in range(count + 1))


COARSE = Grid(
    triggers=steps("0.60", "0.78", "0.03"),
    targets=steps("0.50", "0.70", "0.05"),
    sizes=tuple(Decimal(size) for size in ("0.25", "0.5", "0.75", "1", "1.5", "2")),
)
FINE = Grid(
    triggers=steps("0.60", "0.78", "0.005"),
    targets=steps("0.50", "0.70", "0.01"),
    sizes=steps("0.1", "2", "0.1"),
)
