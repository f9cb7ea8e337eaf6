"""What a cycle came to, and how soon to look again."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ltv_guard.core.amounts.once_landed import once_landed
from ltv_guard.core.decide.constraints import Limit
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.core.ports import Clock
from ltv_guard.core.reconcile.plausibility import Bearing
from ltv_guard.guard.journal_trust import JournalTrust
from ltv_guard.guard.slowness import Slowness
from ltv_guard.guard.snapshot import CycleResult, GuardOptions, Snapshot
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.waiting_loans import WaitingLoans
from ltv_guard.guard.words import Words


class Conclusion:
    """`products`: how many are read when all goes well."""

    def __init__(
        self,
        memory: Memory,
        trust: JournalTrust,
        words: Words,
        clock: Clock,
        options: GuardOptions,
        *,
        products: int,
    ) -> None:
        self._intents = memory.intents
        self._trust = trust
        self._slowness = Slowness(words.alerts, longest_ms=options.max_snapshot_age_ms)
        self._waiting = WaitingLoans(words.alerts, clock)
        self._defects = words.defects
        self._report = words.report
        self._live = options.live
        self._products = products

    def of_nothing(self) -> CycleResult:
        """Of a cycle that does not know whose loans to read."""
        return CycleResult(blind=True, why_blind=self._report.why_blind, trusts_journal=self._trust.holds)

    def of(self, snapshot: Snapshot, decisions: Sequence[Decision], actions: int) -> CycleResult:
        """`actions`: how many adjustments left, or may have."""
        with self._defects.contained("telling who waits"):
            self._waiting.tell(snapshot, decisions)
        return CycleResult(
            loans=len(snapshot.loans),
            actions=actions,
            left_open=len(snapshot.open_intents) + actions,
            blind=len(snapshot.books) < self._products
            or any(book.cut_short for book in snapshot.books.values()),
            slow=self._slowness.tell(snapshot),
            busy=self._is_busy(snapshot, decisions, actions),
            waits=self._live and any(self._waits(snapshot, decision) for decision in decisions),
            trusts_journal=self._trust.holds,
            why_blind=self._report.why_blind,
            withheld=snapshot.withheld,
            in_haste=snapshot.in_haste,
            goes_on=snapshot.goes_on,
            asked=snapshot.loans_asked,
            adjusted=self._adjusted(snapshot) if actions else {},
            wallet=snapshot.wallet_as_read,
            set_aside=tuple(item for book in snapshot.books.values() for item in book.set_aside),
            decisions=_with_resting(snapshot, decisions),
            account=snapshot.account,
        )

    def _adjusted(self, snapshot: Snapshot) -> dict[LoanKey, Loan]:
        """The loans that something was accepted for, as they will be shown once it has landed."""
        accepted: dict[LoanKey, list[Intent]] = {}
        for item in self._intents.every:
            if item.state is State.ACCEPTED:
                accepted.setdefault(item.key, []).append(item)
        return {
            loan.key: once_landed(loan, accepted[loan.key], snapshot.prices)
            for loan in snapshot.loans
            if loan.key in accepted
        }

    def _is_busy(self, snapshot: Snapshot, decisions: Sequence[Decision], actions: int) -> bool:
        """What is withheld is not sent sooner for looking more often; what waits for time alone may be."""
        held_up = snapshot.withheld is not None and not snapshot.withheld.ends_by_itself
        return bool(snapshot.open_intents or actions) or (
            not held_up and any(decision.needs_a_closer_look for decision in decisions)
        )

    def _waits(self, snapshot: Snapshot, decision: Decision) -> bool:
        """Whether only time holds its help up."""
        if not decision.breach:
            return False
        waiting = {Cause.NOT_FRESH, Cause.OPEN_INTENT}
        if snapshot.withheld is None:  # for coins that landed, for another try before debt is repaid
            waiting |= {Cause.TRANSFER, Cause.REPAY}
        if any(item.kind is Limit.JUST_REPAID for item in decision.held_back):
            return True
        return decision.cause in waiting or (decision.acts and not self._trust.holds)


def _with_resting(snapshot: Snapshot, decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """One a loan, the one nearest liquidation first: also those that stand from before a hurried cycle."""
    if not snapshot.at_rest:
        return tuple(decisions)
    every = (*decisions, *snapshot.at_rest.decisions.values())
    return tuple(sorted(every, key=_by_danger, reverse=True))


def _by_danger(decision: Decision) -> tuple[bool, Decimal]:
    return decision.bearing is not Bearing.CONTRADICTED, decision.loan.danger
