"""A pool's contracts, from reading to telling: one look at the end of each cycle. Acts on nothing."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.loans import Loan, Moment
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.ports import Clock
from ltv_guard.guard.contract_watch import ContractWatch
from ltv_guard.guard.reads.contracts import WITHIN_S, ContractReads
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.contract_shelf import ContractShelf

SHORTLY_S = 0.2  # about a list a minute is read beside what is under way


class Contracts:
    """Costs an account without contracts nothing: there is nothing to read then, and nothing to tell."""

    def __init__(
        self,
        reads: ContractReads,
        watch: ContractWatch,
        shelf: ContractShelf,
        rulebook: Rulebook,
        clock: Clock,
    ) -> None:
        self.reads = reads
        self._watch = watch
        self._shelf = shelf
        self._rulebook = rulebook
        self._clock = clock

    @property
    def known(self) -> tuple[Contract, ...]:
        """As they were read last, soonest end first."""
        return self._shelf.contracts

    def due(self, loan: Loan, now: Moment) -> Mapping[str, Decimal]:
        """Coins that the Funding wallet has to pay soon, by the policy of that pool."""
        policy = self._rulebook.policy_for(loan)
        return self._shelf.due(now, policy.due_within_ms, repaid_by_us=policy.repay_fixed.enabled)

    async def are_new(self) -> bool:
        """Reads those that were never read, where the guard may repay some. Whether there are any now."""
        if self._shelf.kept or not self._shelf.fixed or not self._rulebook.repays_fixed:
            return False
        self.reads.begin()
        await self.reads.wait()
        return bool(self._shelf.kept)

    async def look(self, snapshot: Snapshot, *, may_read: bool, in_haste: bool) -> None:
        """Reads what is to be read, and tells what there is to tell.

        `in_haste`: something is under way, which is not held up for long. A rescue may take minutes, and a
        contract end meanwhile.
        """
        if may_read:
            self.reads.begin()
            await self.reads.wait(SHORTLY_S if in_haste else WITHIN_S)
        if not self._shelf.kept:
            self._watch.nothing_left()
            return
        pool = next((loan for loan in snapshot.loans if loan.is_pool), None)
        if pool is None:
            return
        now, policy = self._clock.now(), self._rulebook.policy_for(pool)
        self._watch.look(pool, policy, now)
        due = self.due(pool, now)
        self._watch.all_covered_but(due)
        if due:
            wallet = await self.reads.wallet(due, may_read=may_read and not in_haste)
            self._watch.hold_against(wallet, due, pool, policy, now)
