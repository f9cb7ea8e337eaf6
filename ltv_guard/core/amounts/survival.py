"""What a fall of prices asks of a wallet: coins that bring each loan that it reaches to its target. Pure.

All collateral falls together, and debts stay what they are: so of loans against what is owed in dollars.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.model.loans import Loan

STEP = Decimal("0.01")
DEEPEST = Decimal("0.99")
NOTHING: Mapping[str, Decimal] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A loan, and the LTVs where it is helped and where help ends."""

    loan: Loan
    trigger_ltv: Decimal
    target_ltv: Decimal


class Guarded(Protocol):
    """What is asked of a `Held`, and of whatever else tells a loan's own LTVs."""

    @property
    def loan(self) -> Loan: ...

    @property
    def trigger_ltv(self) -> Decimal:
        """From here on coins are added: a fraction."""

    @property
    def target_ltv(self) -> Decimal:
        """Where an add leads: a fraction."""


def free_in(
    wallet: Mapping[str, Decimal], reserve: Mapping[str, Decimal], due: Mapping[str, Decimal] = NOTHING
) -> dict[str, Decimal]:
    """Coin -> what there is beyond what stays, and beyond what is due."""
    return {
        coin: max(Decimal(0), has - reserve.get(coin, Decimal(0)) - due.get(coin, Decimal(0)))
        for coin, has in wallet.items()
    }


def needed_in(fall: Decimal, loans: Iterable[Guarded]) -> dict[str, Decimal]:
    """Coin -> coins of it that bring each loan at its trigger after the fall (a part of 1) to its target."""
    needed: dict[str, Decimal] = {}
    for held in loans:
        found = _needed(held, fall)
        if found is not None:
            coin, amount = found
            needed[coin] = needed.get(coin, Decimal(0)) + amount
    return needed


def missing_in(fall: Decimal, loans: Iterable[Guarded], wallet: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Coin -> coins of it that the wallet lacks then. Empty: the wallet survives that fall."""
    return {
        coin: amount - wallet.get(coin, Decimal(0))
        for coin, amount in needed_in(fall, loans).items()
        if amount > wallet.get(coin, Decimal(0))
    }


def survived(loans: Iterable[Guarded], wallet: Mapping[str, Decimal]) -> Decimal:
    """The deepest fall (a part of 1, in steps of 0.01) that the wallet survives."""
    held = tuple(loans)
    # What is missing only grows with the fall, so that few of the steps need be looked at.
    steps = range(1, int(DEEPEST / STEP) + 1)
    return STEP * bisect_left(steps, True, key=lambda step: bool(missing_in(STEP * step, held, wallet)))  # noqa: FBT003


def _needed(held: Guarded, fall: Decimal) -> tuple[str, Decimal] | None:
    """In the coin that secures most of the loan, whose haircut stays what it is now."""
    after = held.loan.ltv / (1 - fall)
    if after < held.trigger_ltv:
        return None
    largest = max(held.loan.collateral, key=lambda item: (item.value_usd or Decimal(0), item.amount))
    share = Decimal(1)
    composition = composition_of(held.loan)
    if composition.sized_by_prices and largest.value_usd:
        share = composition.total / largest.value_usd
    return largest.coin, largest.amount * share * (after / held.target_ltv - 1)
