"""From a decision to the intent that is to be sent: no larger than the exchange allows, and told apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.release import within_maximum
from ltv_guard.core.decide.repay_fixed import may_be_needed
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Owner
from ltv_guard.guard import sentences
from ltv_guard.guard.plan import IntentOrigin, plan
from ltv_guard.guard.pressing import Pressing
from ltv_guard.guard.reads.contracts import WITHIN_S
from ltv_guard.guard.refusals import Refusals
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.state.refusal_backoff import RefusalSubject
from ltv_guard.guard.surroundings import AccountPorts, Surroundings
from ltv_guard.guard.words import Words

NO_HASTE_S = 0.5  # so long a release asks for its maximum whatever prices do: others may need its coins
ALL_IN_USE = "every amount of it is in use by an adjustment that is not settled"


class Planner:
    """Asks the exchange for the maximum of a release; a coin without a free amount passes the turn on."""

    def __init__(
        self,
        options: GuardOptions,
        surroundings: Surroundings,
        exchange: AccountPorts,
        memory: Memory,
        refusals: Refusals,
        words: Words,
        *,
        pressing: Pressing,
    ) -> None:
        self._options = options
        self._around = surroundings
        self._exchange = exchange
        self._memory = memory
        self._refusals = refusals
        self._pressing = pressing
        self._report = words.report.decisions
        self._defects = words.defects

    async def plan(self, owner: Owner, snapshot: Snapshot, decision: Decision) -> Intent | None:
        """None where there is nothing to do after all. Raises ExchangeUnavailable, NeedsHuman."""
        if decision.direction is Direction.REDUCE:
            decision = await self._within_maximum(snapshot, decision)
        elif decision.contract_id is not None and decision.collateral_coin is None:
            decision = await self._as_owed_now(snapshot, decision)
        now = self._around.clock.now()
        origin = IntentOrigin(
            owner=owner,
            account=self._options.account,
            intent_id=self._around.new_id(),
            observed=snapshot.asked_at(decision.loan.key),
            now=now,
            seed=self._around.seed(),
        )
        intent = plan(decision, origin, self._memory, self._options.timeouts, snapshot.wallet)
        if decision.direction is not None:
            with self._defects.contained("reporting an amount"):
                self._report.amount(decision, free=intent is not None)
            if intent is None and decision.loan.is_pool:  # a pool's next coin has its turn
                self._refusals.put_off(decision, ALL_IN_USE, now)
        if intent is not None:
            self._memory.wallet.note_before(intent, snapshot.source_of(intent.direction))
            self._memory.freshness.note_price(intent, snapshot.prices)
            self._memory.sales.note_plan(intent, snapshot.prices, decision.loan.debts)
        return intent

    def forget_unless_written(self, intent: Intent) -> None:
        """What was noted of one that was planned, where sending it failed before it was written down."""
        self._memory.forget_unless_written(intent)

    async def _as_owed_now(self, snapshot: Snapshot, decision: Decision) -> Decision:
        """The repayment of a fixed loan, by its row of this moment: where it is still there, and as large.

        Nothing where an emergency has come up meanwhile, in which its coins may help.
        """
        exchange, shelf, coin = self._exchange.contracts, self._memory.contracts, decision.coin or ""
        now = self._around.clock.now()
        nothing = replace(decision, direction=None)
        if exchange is None:
            return nothing
        try:
            async with asyncio.timeout(WITHIN_S):
                shelf.keep(coin, await exchange.contracts(coin), now)
        except (ExchangeUnavailable, NeedsHuman, TimeoutError) as error:
            why = f"the list of fixed loans in {coin} could not be read: {str(error) or 'it takes too long'}"
            self._refusals.leave_alone(decision, why, now)
            return nothing
        ending = shelf.ending(now, decision.policy.repay_fixed.before_ms)
        contract = next((item for item in ending if item.loan_id == decision.contract_id), None)
        if contract is None or contract.owed > decision.ceiling:
            return nothing
        if snapshot.account is not None and may_be_needed(coin, snapshot.account):
            return nothing
        return replace(decision, amount=contract.owed)

    async def _within_maximum(self, snapshot: Snapshot, decision: Decision) -> Decision:
        """The release, no larger than the exchange allows at this moment."""
        loan, coin, clock = decision.loan, decision.coin or "", self._around.clock
        exchange = self._exchange.by_product[loan.key.product]
        history = snapshot.histories.get(exchange.channel)
        if history is None or clock.now().ms_since(history.began) > self._options.max_snapshot_age_ms:
            return replace(decision, direction=None)
        asking = asyncio.ensure_future(exchange.max_reduction(loan, coin))
        try:
            if not await self._pressing.leaves_time_for(asking, at_least_s=NO_HASTE_S):
                return replace(decision, direction=None)
            maximum = await asking
        finally:
            asking.cancel()
        decision = within_maximum(decision, maximum)
        with self._defects.contained("reporting a decision"):
            self._report.tell([decision], None)
        if not decision.acts:
            why = sentences.reason_or_cause(decision)
            subject = RefusalSubject(Direction.REDUCE, coin)
            self._memory.refusals.refuse(loan.key, subject, why, clock.now(), lasting=True)
        return decision
