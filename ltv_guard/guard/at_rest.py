"""Loans at rest: shown as they were, and nothing is remembered of them. What was made of them holds.

In a quiet cycle most loans are. Kept is only what follows from the loan and the settings alone, beside the
loan that it was made from. Whatever else might bear on it wakes the loan: what is kept is what would be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.core.reconcile.plausibility import Bearing
from ltv_guard.guard.appraised import Appraised, Rest, coins_of
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory

NONE = Rest()


class AtRest:
    """Mutable, owned by one guard, whose settings stay as they are."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._kept = self._before = NONE
        self._is_quiet = False  # nothing but loans was read where it was made
        self._histories: tuple[History, ...] = ()
        self._least: Mapping[object, Decimal] = {}

    def among(self, snapshot: Snapshot) -> Rest:
        """Those of the snapshot's loans that rest, where nothing but loans was read.

        In haste also where more was, now or by the read of all before: of who is shown as that read showed
        it, what was read beside is for the cycle that comes next, with all loans.
        """
        kept, self._kept, self._before = self._kept, NONE, self._kept
        quiet = self._is_quiet and not _is_looked_closer_at(snapshot) and self._shows_the_same_histories()
        if not kept or not (quiet or snapshot.in_haste) or self._least != self._memory.bounds.least:
            return NONE
        self._kept = kept.among(snapshot.loans, snapshot.awake(kept), self._awake(snapshot))
        return self._kept

    def awake(self, snapshot: Snapshot) -> Sequence[Loan]:
        """Loans that are not shown as they were when they were calm: whoever is in need is among them."""
        return snapshot.awake(self._kept)

    def was_given_up(self) -> None:
        """What was decided on these loans came to nothing: kept is what was before."""
        self._kept = self._before

    def note(self, snapshot: Snapshot, account: AccountFacts, decisions: Iterable[Decision]) -> None:
        """Which loans rest from now on, beside those that do already. What was read in haste adds none."""
        self._before = NONE  # these decisions stand: a thousand loans less, while the next list is read
        if snapshot.in_haste:
            return
        awake, facts = self._awake(snapshot), {item.loan.key: item for item in account.loans}
        kept = self._kept
        shown, appraised = dict(kept.shown), dict(kept.appraised)
        calm, decided = dict(kept.facts), dict(kept.decisions)
        coins, telling = set(kept.coins), dict(kept.telling)
        for decision in decisions:
            key = decision.loan.key
            found = snapshot.appraised[key]
            if key in calm or key in awake or not isinstance(found, Appraised):
                continue
            if _is_calm(found, facts[key], decision):
                shown[id(found.loan)] = found.loan
                appraised[key], calm[key], decided[key] = found, facts[key], decision
                coins.update(coins_of(found.loan))
                if composition_of(found.loan).implied_prices():
                    telling[key] = found.loan
        self._kept = Rest(
            shown=shown,
            appraised=appraised,
            facts=calm,
            decisions=decided,
            coins=frozenset(coins),
            telling=telling,
        )
        self._is_quiet = not _is_looked_closer_at(snapshot)
        self._histories = tuple(self._memory.shelf.histories.values())
        self._least = self._memory.bounds.least

    def _awake(self, snapshot: Snapshot) -> set[LoanKey]:
        """Loans of which anything is remembered that bears on them."""
        memory = self._memory
        return {*memory.intents.loans, *memory.refusals.loans, *snapshot.episodes}

    def _shows_the_same_histories(self) -> bool:
        histories = self._memory.shelf.histories.values()
        return len(histories) == len(self._histories) and all(
            now is before for now, before in zip(histories, self._histories, strict=True)
        )


def _is_looked_closer_at(snapshot: Snapshot) -> bool:
    """Whether more than the loans was read, or read again, or written."""
    return bool(
        snapshot.wallet_began is not None
        or snapshot.asked
        or snapshot.histories
        or snapshot.before
        or snapshot.begun
        or snapshot.open_intents
    )


def _is_calm(appraised: Appraised, facts: LoanFacts, decision: Decision) -> bool:
    """Whether it is in bounds whatever the clock says, and whatever becomes of other loans.

    A low one is not: how long it has been low is counted.
    """
    return (
        decision.cause is Cause.IN_BOUNDS
        and decision.reason.kind is Because.IN_BOUNDS
        and decision.bearing is not Bearing.CONTRADICTED
        and not decision.defects
        and facts.loan.ltv >= facts.urgency.limits.release_trigger
        and facts.foreign_add_ms is None
        and appraised.loan is facts.loan
        and not (appraised.is_reckoned or appraised.hides_breach)
    )
