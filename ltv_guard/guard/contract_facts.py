"""The facts of a pool's fixed loans: what is due, which are to be repaid now, and what keeps them from it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import Channel, Kind, Loan, Moment
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import landed_lately
from ltv_guard.guard.state.memory import Memory


class ContractFacts:
    """`same_body_ms`: for so long what was refused is not asked for again."""

    def __init__(self, rulebook: Rulebook, memory: Memory, defects: Defects, *, same_body_ms: int) -> None:
        self._rulebook = rulebook
        self._memory = memory
        self._defects = defects
        self._same_body_ms = same_body_ms

    def of_pool(self, snapshot: Snapshot, now: Moment) -> dict[str, Any]:
        """What the pool's fixed loans ask for. After an error of ours none of them is repaid."""
        if not self._memory.contracts.kept:
            return {}
        pool = next((loan for loan in snapshot.loans if loan.is_pool), None)
        if pool is None:
            return {}
        found: dict[str, Any] = {}
        for name, work in (
            ("due", self._due),
            ("ending", self._ending),
            ("unpayable_contracts", self._unpayable_contracts),
        ):
            value = attempt(f"fixed loans: {name}", lambda: work(pool, now))  # noqa: B023 - called at once
            if isinstance(value, Defect):
                self._defects.tell(value)
                found["ending"] = ()
            else:
                found.setdefault(name, value)
        return found

    def _due(self, pool: Loan, now: Moment) -> Mapping[str, Decimal]:
        policy = self._rulebook.policy_for(pool)
        by_us = policy.repay_fixed.enabled
        return self._memory.contracts.due(now, policy.due_within_ms, repaid_by_us=by_us)

    def _ending(self, pool: Loan, now: Moment) -> tuple[Contract, ...]:
        """Fixed loans that are to be repaid now; one that was, the list may show for a while."""
        policy = self._rulebook.policy_for(pool)
        if not (policy.protect and policy.repay_fixed.enabled):
            return ()
        ours = self._memory.intents.of_loan(pool.key)
        repaid = {item.contract_id for item in ours if item.repays_in_full and landed_lately(item, now)}
        ending = self._memory.contracts.ending(now, policy.repay_fixed.before_ms)
        return tuple(item for item in ending if item.loan_id not in repaid)

    def _unpayable_contracts(self, pool: Loan, now: Moment) -> Mapping[str, str]:
        """One is asked for without an amount: what was refused is not asked for again within a minute."""
        lately = {
            item.contract_id: item.ret_msg or f"the last try ended as {item.state}"
            for item in self._memory.intents.refused_lately(pool.key, now, self._same_body_ms)
            if item.contract_id is not None and item.repays_in_full
        }
        return {**lately, **self._memory.refusals.unpayable_contracts(pool.key, now)}

    def why_closed(self, loan: Loan, snapshot: Snapshot) -> str | None:
        """Why none of its fixed loans can be repaid: what was repaid before has to be known."""
        if Channel(loan.key.product, Kind.FIXED_REPAYMENT) in snapshot.histories:
            return None
        return "the list of repayments of fixed loans could not be read"
