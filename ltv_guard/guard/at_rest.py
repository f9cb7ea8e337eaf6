"""Loans at rest: shown as they were, and nothing is remembered of them. What was made of them holds.

In a quiet cycle most loans are. Kept is only what follows from the loan and the settings alone, beside the
loan that it was made from. Whatever else might bear on it wakes the loan: what is kept is what would be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.guard.snapshot import Appraised, Snapshot
from ltv_guard.guard.state.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """What was made of a loan that rests."""

    appraised: Appraised
    facts: LoanFacts
    decision: Decision


NONE: Mapping[LoanKey, Resting] = {}


class AtRest:
    """Mutable, owned by one guard, whose settings stay as they are."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._known: Mapping[LoanKey, Resting] = NONE
        self._histories: tuple[History, ...] = ()

    def among(self, snapshot: Snapshot) -> Mapping[LoanKey, Resting]:
        """Those of the snapshot's loans that rest, where nothing but loans was read.

        In haste also where more was: what that says of them is for the cycle that comes next, with all loans.
        """
        known, self._known = self._known, NONE
        nothing_more = not _is_looked_closer_at(snapshot) and self._shows_the_same_histories()
        if not known or not (nothing_more or snapshot.in_haste):
            return NONE
        awake = self._awake(snapshot)
        self._known = {
            loan.key: kept
            for loan in snapshot.loans
            if (kept := known.get(loan.key)) is not None
            and (kept.facts.loan is loan or kept.facts.loan == loan)
            and loan.key not in awake
            and kept.facts.at_least == self._memory.bounds.at_least(loan)
        }
        return self._known

    def note(self, snapshot: Snapshot, account: AccountFacts, decisions: Iterable[Decision]) -> None:
        """Which loans rest from now on, beside those that do already."""
        if _is_looked_closer_at(snapshot):
            return
        awake, facts = self._awake(snapshot), {item.loan.key: item for item in account.loans}
        found = dict(self._known)
        for decision in decisions:
            key = decision.loan.key
            appraised = snapshot.appraised[key]
            if key in found or key in awake or not isinstance(appraised, Appraised):
                continue
            if _is_calm(appraised, facts[key], decision):
                found[key] = Resting(appraised=appraised, facts=facts[key], decision=decision)
        self._known = found
        self._histories = tuple(self._memory.shelf.histories.values())

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
        and not decision.defects
        and facts.loan.ltv >= facts.urgency.limits.release_trigger
        and facts.foreign_add_ms is None
        and appraised.loan is facts.loan
        and not (appraised.is_reckoned or appraised.hides_breach)
    )
