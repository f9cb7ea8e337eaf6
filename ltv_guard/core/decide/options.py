"""What one coin could do for a loan in rescue: be added, be moved here to be added next, or repay. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.decide.constraints import UNLIMITED, Constraint, Limit
from ltv_guard.core.model.defects import Defect, attempt

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One coin: `needed` of it brings the loan to its target by itself, `amount` can be given now.

    With its fingerprint that is at most `ceiling`; it gains `gain`, on the LTV model's scale (a repayment: of
    LTV). `is_enough`: no other coin has to be asked. `reach`: what an add can gain over the episode.
    `usable`: coins that can be added once a transfer has landed. `takes_more`: with more of the coin in the
    wallet it could bring more. `is_a_step`: no more of it than a part of the need, for its price is in doubt.
    `collateral_coin`: what pays for a repayment of the coin, if not the wallet; its fee is `cost` USD.
    `contract_id`: the fixed loan that is repaid.
    `defect`: an error of ours, which costs this coin only.
    """

    coin: str
    step: Decimal
    needed: Decimal
    amount: Decimal = ZERO
    ceiling: Decimal = ZERO
    gain: Decimal = ZERO
    reach: Decimal = ZERO
    usable: Decimal = ZERO
    is_enough: bool = False
    takes_more: bool = False
    is_a_step: bool = False
    held_back: tuple[Constraint, ...] = ()
    defect: Defect | None = None
    collateral_coin: str | None = None
    cost: Decimal = ZERO
    contract_id: str | None = None

    def is_worth(self, least: Decimal) -> bool:
        """Whether what can be given now is worth a call."""
        return self.amount >= self.step and self.gain >= least

    def as_nothing(self, note: Constraint) -> Option:
        """The same coin, of which nothing is given."""
        return Option(coin=self.coin, step=self.step, needed=self.needed, held_back=(note,))


def reckon(coin: str, step: Decimal, work: Callable[[], Option]) -> Option:
    """The coin's option; of no use, with the defect, where an error of ours is in it."""
    found = attempt(f"reckoning with {coin}", work)
    if not isinstance(found, Defect):
        return found
    note = Constraint(kind=Limit.DEFECT, coin=coin, words=str(found))
    return Option(coin=coin, step=step, needed=UNLIMITED, held_back=(note,), defect=found)


def reckoned(
    works: Iterable[tuple[str, Callable[[], Option | None]]],
) -> tuple[list[Option], list[Defect]]:
    """What each of these comes to, and errors of ours on the way: one costs that one only."""
    every: list[Option] = []
    defects = []
    for what, work in works:
        found = attempt(what, work)
        if isinstance(found, Defect):
            defects.append(found)
        elif found is not None:
            every.append(found)
    return every, defects


def best_of(every: Sequence[Option]) -> Option | None:
    """The most wanted coin that is enough by itself, or else the one that gains most. None without any."""
    enough = next((option for option in every if option.is_enough), None)
    return enough or max(every, key=lambda option: option.gain, default=None)


def best_worth(every: Iterable[Option], least: Decimal) -> Option | None:
    """The best of those that are worth a call."""
    return best_of([option for option in every if option.is_worth(least)])


def notes_of(every: Iterable[Option], *, repaying: bool = False) -> tuple[Constraint, ...]:
    """What holds all of them back."""
    notes = (note for option in every for note in option.held_back)
    return tuple(replace(note, repaying=True) if repaying else note for note in notes)
