"""The fingerprint: an amount's last digits, chosen so that no other of the loan has the same. Pure.

The exchange takes no idempotency key. The fingerprint tells our row in its history from all others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import chain

MOST_DIGITS = 3
TOLERABLE = Decimal(
    "0.0002"
)  # of the amount's reference (the loan's collateral): what a fingerprint may cost
BLOCKS = 3  # so many runs of fingerprints are tried where earlier ones are taken


def digits_for(accuracy: int, reference: Decimal) -> int:
    """How many digits of a coin with `accuracy` decimals a fingerprint may use, three at most.

    `reference`: the coins that its cost is measured by (the loan's collateral, or its debt). None at all
    where even one would cost too much: then only what is taken is stepped over.
    """
    for digits in range(MOST_DIGITS, 0, -1):
        if Decimal(1).scaleb(digits - accuracy) <= reference * TOLERABLE:
            return digits
    return 0


def has_fingerprint(amount: Decimal, reference: Decimal) -> bool:
    """Whether the amount's last digit is finer than what `reference` leaves for fingerprints.

    One without may be a hand's as well: nobody else needs to hit upon it.
    """
    exponent = int(amount.normalize().as_tuple().exponent)
    return digits_for(-exponent, reference) > 0


def coarsest(accuracy: int, reference: Decimal) -> int:
    """Decimals that leave room for a whole fingerprint and no more; `accuracy` where it has no such room.

    For amounts whose accuracy the exchange does not tell: a coarse one is taken where a fine one may not be.
    """
    enough = (n for n in range(accuracy) if Decimal(1).scaleb(MOST_DIGITS - n) <= reference * TOLERABLE)
    return next(enough, accuracy)


def most_above(accuracy: int, reference: Decimal) -> Decimal:
    """Coins by which an upward fingerprint exceeds its amount at most, unless a run of them is taken."""
    return 2 * Decimal(1).scaleb(digits_for(accuracy, reference) - accuracy)


def with_fingerprint(
    amount: Decimal,
    *,
    accuracy: int,
    reference: Decimal,
    ceiling: Decimal,
    taken: Collection[Decimal],
    seed: int,
    upward: bool,
) -> Decimal | None:
    """`amount` with a fingerprint: upward where there is room below `ceiling`, downward otherwise.

    All in coins, with `accuracy` decimals; `reference` as in `digits_for`. `taken` are the amounts that the
    fingerprint has to differ from, `seed` picks which one is tried first.
    None where no positive amount within the ceiling is free.
    """
    step = Decimal(1).scaleb(-accuracy)
    span = 10 ** digits_for(accuracy, reference)
    grid = step * span
    wanted = min(amount, ceiling)
    above = _onto_grid(amount, grid, ROUND_CEILING)
    below = _onto_grid(wanted, grid, ROUND_FLOOR)
    if upward:
        runs = (above + grid * block for block in range(BLOCKS))
        candidates = (run + step * n for run in runs if run <= ceiling for n in _order(span, seed))
        found = _first_free(candidates, taken, ceiling)
        if found is not None:
            return found
    candidates = (below - grid * block + step * n for block in range(BLOCKS) for n in _order(span, seed))
    return _first_free(candidates, taken, wanted)


def _onto_grid(amount: Decimal, grid: Decimal, rounding: str) -> Decimal:
    return (amount / grid).to_integral_value(rounding=rounding) * grid


def _order(span: int, seed: int) -> Iterator[int]:
    """Every fingerprint but the round one, from where the seed says; none where there is no room."""
    if span == 1:
        return iter([0])
    first = seed % (span - 1)
    return chain(range(first + 1, span), range(1, first + 1))


def _first_free(
    candidates: Iterable[Decimal], taken: Collection[Decimal], ceiling: Decimal
) -> Decimal | None:
    return next((value for value in candidates if 0 < value <= ceiling and value not in taken), None)
