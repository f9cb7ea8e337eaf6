"""One account while it is replayed: at each moment what is due happens, and the core decides as it is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange
from ltv_guard.core.decide.release import within_maximum
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel, Direction
from ltv_guard.core.model.maturity import GRACE_MS
from ltv_guard.guard.state.refusal_backoff import subject_of
from ltv_guard.replay.account_state import AccountState, Rescue
from ltv_guard.replay.attention import AlertLine
from ltv_guard.replay.flight import Flight
from ltv_guard.replay.position import Position, Prices
from ltv_guard.replay.replay_event import Happening, ReplayEvent
from ltv_guard.replay.replay_facts import account_facts, at
from ltv_guard.replay.stress import NEVER

LANDED = {
    Direction.ADD: Happening.ADD,
    Direction.REDUCE: Happening.RELEASE,
    Direction.REPAY: Happening.REPAY,
}
WHY_FULL = "the platform takes no more of this coin"
TOLD = {Cause.SHORT: Happening.SHORT, Cause.LOST: Happening.LOST}


@dataclass(slots=True, kw_only=True)
class ReplayAccount(AccountState):
    """Mutable. What the exchange does to it, and what the core decides for it."""

    def live(self, now_ms: int, prices: Prices) -> None:
        """One moment: interest, what lands, what is liquidated, and what is decided."""
        self.now_ms, self.waits = now_ms, None
        for position in self.living:
            position.accrue(now_ms)
        for intent in self.flights.landing(now_ms):
            self._land(intent, now_ms, prices)
        for position in self.living:
            self._look(position, now_ms, prices)
        if self.living:
            self._attend(now_ms, prices if self.index is None else self.index(now_ms))
        else:
            self.flights.settled(now_ms)

    def _attend(self, now_ms: int, prices: Prices) -> None:
        """What the guard does at the prices that it is shown, where it looks at all."""

        def is_at(alarm: AlertLine) -> bool:
            return self.is_one_at(alarm, prices)

        looks_at = self.attention.looks_at(now_ms, is_at)
        if looks_at > now_ms:
            self.flights.put_off(now_ms, looks_at)
            self.waits = looks_at if looks_at < NEVER else None
            return
        for flight in self.flights.settled(now_ms):
            self._settle(flight, now_ms)
        self._decide(now_ms, prices)
        if self.attention.looked(now_ms, is_at, is_busy=self.wakes_at is not None):
            for rescue in self.rescues.values():
                rescue.closed_ms = now_ms if rescue.closed_ms is None else rescue.closed_ms

    def _land(self, intent: Intent, now_ms: int, prices: Prices) -> None:
        """An adjustment takes effect, or fails: what was there when it was sent may be gone."""
        position = next(item for item in self.positions if item.spec.key == intent.key)
        happening, after = Happening.FAILED, None
        if intent.direction is Direction.ADD and intent.coin in self.flights.stress.full:
            if not self._is_refused_anew(intent, now_ms):
                return
            happening = Happening.REFUSED
        elif not position.lost and self._moved(position, intent, prices):
            happening, after = LANDED[intent.direction], position.shown_ltv(prices)
            self.flights.landed.append((now_ms, intent))
            self.remember(position, now_ms)
        self._tell(intent, happening, now_ms, after)

    def _is_refused_anew(self, intent: Intent, now_ms: int) -> bool:
        """Whether it is said: once an episode and coin."""
        key, coin = intent.key, intent.coin
        self.refusals.refuse(key, subject_of(intent), WHY_FULL, at(now_ms), lasting=True)
        rescue = self.rescues.setdefault(key, Rescue())
        is_new = coin not in rescue.refused
        rescue.refused.add(coin)
        return is_new

    def _settle(self, flight: Flight, now_ms: int) -> None:
        """The guard learns how it ended."""
        if not flight.landed:
            self._tell(flight.intent, Happening.ABSENT, now_ms)

    def _tell(self, intent: Intent, happening: Happening, now_ms: int, after: Decimal | None = None) -> None:
        self.events.append(
            ReplayEvent(
                at_ms=now_ms,
                loan_id=intent.key.loan_id,
                what=happening,
                ltv_before=intent.ltv_before,
                ltv_after=after,
                coin=intent.coin,
                amount=intent.amount,
                decided_ms=intent.created_at_ms,
            )
        )

    def _moved(self, position: Position, intent: Intent, prices: Prices) -> bool:
        coin, amount = intent.coin, intent.amount
        if intent.direction is Direction.REDUCE:
            if amount > position.most_released(coin, prices):
                return False
            position.move(coin, -amount)
            self._credit(coin, amount)
            return True
        if intent.collateral_coin is not None:
            policy = self.rulebook.policy_for(position.shown(prices))
            return position.pay_with(intent, prices, policy.repay_with_collateral.max_fee)
        if amount > self.wallet.get(coin, Decimal(0)):
            return False
        if intent.direction is Direction.REPAY:
            position.pay(coin, amount)
        else:
            position.move(coin, amount)
        self._credit(coin, -amount)
        return True

    def _credit(self, coin: str, amount: Decimal) -> None:
        self.wallet[coin] = self.wallet.get(coin, Decimal(0)) + amount

    def _look(self, position: Position, now_ms: int, prices: Prices) -> None:
        """Its LTV is noted, and it is liquidated where it has come to that."""
        key, tally, ltv = position.spec.key, self.tallies[position.spec.key], position.shown_ltv(prices)
        tally.saw(ltv, now_ms)
        overdue = position.is_overdue(now_ms, GRACE_MS)
        if position.ltv(prices) < position.spec.liquidation_ltv and not overdue:
            return
        tally.saw(None, now_ms)
        sale = position.liquidate(prices, self.fee)
        self.remember(position, now_ms)
        for coin, amount in sale.returned.items():
            self._credit(coin, amount)
        details = {"debt_usd": sale.debt_usd, "fee_usd": sale.fee_usd}
        details |= {f"sold_{coin}": amount for coin, amount in sale.sold.items()}
        self.events.append(
            ReplayEvent(
                at_ms=now_ms,
                loan_id=key.loan_id,
                what=Happening.LIQUIDATED,
                ltv_before=ltv,
                details=details,
            )
        )

    def _decide(self, now_ms: int, prices: Prices) -> None:
        decisions = decide(account_facts(self, now_ms, prices))
        for decision in decisions:
            self._note(decision, now_ms)
        for decision in decisions:  # the most urgent first, and one a turn
            acting = self._allowed(decision, prices)
            if acting.kind is None:
                continue
            channel = Channel(acting.loan.key.product, acting.kind)
            turn = self.flights.turn_at(channel)
            if now_ms >= turn:
                self.flights.send(acting, now_ms)
            else:
                self.waits = turn if self.waits is None else min(turn, self.waits)

    def _allowed(self, decision: Decision, prices: Prices) -> Decision:
        """The decision within the exchange's maximum, where it is a release."""
        if decision.direction is not Direction.REDUCE:
            return decision
        position = next(item for item in self.positions if item.spec.key == decision.loan.key)
        return within_maximum(decision, position.most_released(decision.coin or "", prices))

    def _note(self, decision: Decision, now_ms: int) -> None:
        """The episode that it opens or closes; that nothing helps is told once an episode."""
        for defect in decision.defects:
            raise defect.error
        key = decision.loan.key
        if decision.episode is EpisodeChange.OPENS:
            self.rescues[key] = Rescue()
        elif decision.episode is EpisodeChange.CLOSES and key in self.rescues:
            self.rescues[key].closed_ms = now_ms
        what, rescue = TOLD.get(decision.cause), self.rescues.get(key)
        if what is None or rescue is None or what in rescue.told:
            return
        rescue.told.add(what)
        self.events.append(
            ReplayEvent(
                at_ms=now_ms,
                loan_id=key.loan_id,
                what=what,
                ltv_before=decision.loan.ltv,
                ltv_after=decision.reachable_ltv,
                coin=decision.coin,
                amount=decision.missing if decision.missing.is_finite() else None,
            )
        )
