"""What was made of loans: one that was appraised, and all that rest. Pure values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.core.model.policy import Thresholds
from ltv_guard.core.reconcile.freshness import Freshness

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraised:
    """What a read of a loan amounts to: as it is believed, and whether that includes all that we did to it.

    `limits` are the thresholds that hold for it.
    `is_reckoned`: its LTV is that of its amounts, not the one shown. `hides_breach`: they say that it is
    above its trigger, and the LTV shown does not.
    """

    loan: Loan
    limits: Thresholds
    freshness: Freshness
    is_reckoned: bool = False
    hides_breach: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Loans at rest, and what was made of each. Of a thousand of them nothing is asked one by one.

    `shown`: the objects that they were read as, by identity; none is reused, for they are held here. `coins`:
    those of them, and maybe of others; `telling`: those whose own numbers tell what coins are worth.
    """

    shown: Mapping[int, Loan] = field(default_factory=dict)
    appraised: Mapping[LoanKey, Appraised] = field(default_factory=dict)
    facts: Mapping[LoanKey, LoanFacts] = field(default_factory=dict)
    decisions: Mapping[LoanKey, Decision] = field(default_factory=dict)
    coins: frozenset[str] = frozenset()
    telling: Mapping[LoanKey, Loan] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.facts)

    def __contains__(self, key: object) -> bool:
        return key in self.facts

    def awake(self, loans: Iterable[Loan]) -> list[Loan]:
        """Those that do not rest, or are shown as another object than before."""
        return [loan for loan in loans if id(loan) not in self.shown]

    def among(self, loans: Collection[Loan], awake: Collection[Loan], waking: Collection[LoanKey]) -> Rest:
        """Those that `loans` show as they were, and nothing else wakes.

        `awake`: those of `loans` that are shown as other objects; `waking`: whom something else does.
        """
        are_all_shown = len(loans) - len(awake) == len(self.shown)
        if are_all_shown and self.facts.keys().isdisjoint(waking):
            return self
        present = {id(loan): loan for loan in loans}
        gone = {self.shown[number].key for number in self.shown.keys() - present.keys()}
        same = [loan for loan in awake if (kept := self.facts.get(loan.key)) and kept.loan == loan]
        changed = gone - {loan.key for loan in same}
        return self._without(changed | (self.facts.keys() & waking), present, same)

    def _without(
        self, waking: Collection[LoanKey], present: Mapping[int, Loan], same: Iterable[Loan]
    ) -> Rest:
        shown = {number: loan for number, loan in self.shown.items() if number in present}
        shown |= {id(loan): loan for loan in same}
        return Rest(
            shown={number: loan for number, loan in shown.items() if loan.key not in waking},
            appraised=_but(self.appraised, waking),
            facts=_but(self.facts, waking),
            decisions=_but(self.decisions, waking),
            coins=self.coins,
            telling=_but(self.telling, waking),
        )


@dataclass(frozen=True, slots=True)
class Awake:
    """What was found of `loans` that is not of `rest`."""

    rest: Rest
    loans: Collection[Loan]
    found: Sequence[Loan]

    def are_of(self, rest: Rest, loans: Collection[Loan]) -> bool:
        """Whether they are of these very ones."""
        return self.rest is rest and self.loans is loans


def coins_of(loan: Loan) -> list[str]:
    """Those that it holds, could hold, or owes."""
    return [*(held.coin for held in loan.collateral), *(debt.coin for debt in loan.debts)]


def _but(kept: Mapping[LoanKey, T], waking: Iterable[LoanKey]) -> dict[LoanKey, T]:
    left = dict(kept)
    for key in waking:
        left.pop(key, None)
    return left
