"""The mark: an amount's last digits, chosen so that no other of the loan has the same. Pure.

The exchange takes no idempotency key. The mark is what tells our row in its history from everyone else's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

MOST_DIGITS = 3
TOLERABLE = Decimal("0.0002")  # of the amount's reference (the loan's collateral): what a mark may cost


def digits_for(accuracy: int, reference: Decimal) -> int:
    """How many digits of a coin with `accuracy` decimals a mark may use: three, or fewer for coarse coins."""
    for digits in range(MOST_DIGITS, 1, -1):
        if Decimal(1).scaleb(digits - accuracy) <= reference * TOLERABLE:
            return digits
    return 1


def marked(
    amount: Decimal,
    *,
    accuracy: int,
    reference: Decimal,
    ceiling: Decimal,
    taken: Collection[Decimal],
    seed: int,
    upward: bool,
) -> Decimal | None:
    """`amount` with a mark: upward where there is room below `ceiling`, downward otherwise.

    `taken` are the amounts the mark has to differ from, `seed` picks which mark is tried first.
    None where no positive amount within the ceiling is free.
    """
    step = Decimal(1).scaleb(-accuracy)
    span = 10 ** digits_for(accuracy, reference)
    if upward:
        base = _onto_grid(amount, step * span, ROUND_CEILING)
        found = _first_free((base + step * n for n in _order(span, seed)), taken, ceiling)
        if found is not None:
            return found
    base = _onto_grid(min(amount, ceiling), step * span, ROUND_FLOOR)
    for lower in (base, base - step * span):
        candidates = (lower + step * n for n in _order(span, seed))
        found = _first_free(candidates, taken, min(amount, ceiling))
        if found is not None:
            return found
    return None


def _onto_grid(amount: Decimal, grid: Decimal, rounding: str) -> Decimal:
    return (amount / grid).to_integral_value(rounding=rounding) * grid


def _order(span: int, seed: int) -> list[int]:
    """Every mark but the round one, from a place that the seed chooses."""
    count = span - 1
    return [1 + (seed + n) % count for n in range(count)]


def _first_free(
    candidates: Iterable[Decimal], taken: Collection[Decimal], ceiling: Decimal
) -> Decimal | None:
    return next((value for value in candidates if 0 < value <= ceiling and value not in taken), None)
