"""One account while it is replayed: at each moment what is due happens, and the core decides as it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.release import within_maximum
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel, Direction, LoanKey
from ltv_guard.core.model.maturity import GRACE_MS
from ltv_guard.core.model.policy import Rulebook, Thresholds, thresholds
from ltv_guard.replay.flight import Flights
from ltv_guard.replay.position import Position, Prices
from ltv_guard.replay.replay_event import Happening, ReplayEvent
from ltv_guard.replay.tally import Tally

LANDED = {
    Direction.ADD: Happening.ADD,
    Direction.REDUCE: Happening.RELEASE,
    Direction.REPAY: Happening.REPAY,
}
TOLD = {Cause.SHORT: Happening.SHORT, Cause.LOST: Happening.LOST}


@dataclass(slots=True, kw_only=True)
class Rescue:
    """A loan's last episode: open where `closed_ms` is None. `told`: what was said of it already."""

    closed_ms: int | None = None
    told: set[Happening] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class ReplayAccount:
    """Mutable. The wallet holds coins; all times are the exchange's, ms.

    `waits`: when a turn to write comes for which a decision waits; None where none does. `history`: each loan
    at its start, and as it was after each change but for interest.
    """

    rulebook: Rulebook
    wallet: dict[str, Decimal]
    positions: list[Position]
    flights: Flights
    fee: Decimal
    tallies: dict[LoanKey, Tally] = field(default_factory=dict)
    events: list[ReplayEvent] = field(default_factory=list)
    low_since: dict[LoanKey, int] = field(default_factory=dict)
    rescues: dict[LoanKey, Rescue] = field(default_factory=dict)
    waits: int | None = None
    history: dict[LoanKey, list[tuple[int, Position]]] = field(default_factory=dict)

    @property
    def living(self) -> list[Position]:
        """The loans that were not liquidated."""
        return [position for position in self.positions if not position.lost]

    @property
    def wakes_at(self) -> int | None:
        """When something happens that no price brings about."""
        times = [at for at, _ in self.flights.due[:1]] + ([] if self.waits is None else [self.waits])
        return min(times, default=None)

    def limits(self, position: Position, prices: Prices) -> Thresholds:
        """The thresholds that hold for a loan."""
        loan = position.shown(prices)
        return thresholds(self.rulebook.policy_for(loan), loan)

    def is_in_rescue(self, key: LoanKey) -> bool:
        """Whether the loan's last rescue has not ended: it ends when its target is reached."""
        rescue = self.rescues.get(key)
        return rescue is not None and rescue.closed_ms is None

    @property
    def is_one_in_rescue(self) -> bool:
        """Whether any living loan is in a rescue: then every point matters, none is skipped."""
        return any(self.is_in_rescue(position.spec.key) for position in self.living)

    def live(self, now_ms: int, prices: Prices) -> None:
        """One moment: interest, what lands, what is liquidated, and what is decided."""
        for position in self.living:
            position.accrue(now_ms)
        for intent in self.flights.landing(now_ms):
            self._land(intent, now_ms, prices)
        for position in self.living:
            self._look(position, now_ms, prices)
        self.waits = None
        if self.living:
            self._decide(now_ms, prices)

    def remember(self, position: Position, now_ms: int) -> None:
        """Notes how a loan is from now on."""
        self.history.setdefault(position.spec.key, []).append((now_ms, position.copy()))

    def _land(self, intent: Intent, now_ms: int, prices: Prices) -> None:
        """An adjustment takes effect, or fails: what was there when it was sent may be gone."""
        position = next(item for item in self.positions if item.spec.key == intent.key)
        before = intent.ltv_before
        happening, after = Happening.FAILED, None
        if not position.lost and self._moved(position, intent, prices):
            happening, after = LANDED[intent.direction], position.shown_ltv(prices)
            self.flights.landed.append((now_ms, intent))
            self.remember(position, now_ms)
        self.events.append(
            ReplayEvent(
                at_ms=now_ms,
                loan_id=intent.key.loan_id,
                what=happening,
                ltv_before=before,
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
        decisions = decide(self._facts(now_ms, prices))
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

    def _facts(self, now_ms: int, prices: Prices) -> AccountFacts:
        return AccountFacts(
            loans=tuple(self._loan(position, now_ms, prices) for position in self.living),
            wallet=dict(self.wallet),
            unified={},
            prices=prices,
            wallet_rules=self.rulebook.wallet,
            transfer_rules=self.rulebook.transfers,
            added_24h=self.flights.spent_24h(Direction.ADD, now_ms),
            repaid_24h=self.flights.spent_24h(Direction.REPAY, now_ms),
        )

    def _loan(self, position: Position, now_ms: int, prices: Prices) -> LoanFacts:
        key, loan = position.spec.key, position.shown(prices)
        open_now = self.flights.of(key)
        facts = LoanFacts(
            loan=loan,
            policy=self.rulebook.policy_for(loan),
            open_intents=open_now,
            settling=bool(open_now),
            episode_open=self.is_in_rescue(key),
            rested_ms=self._rested_ms(key, now_ms),
        )
        if loan.ltv >= facts.urgency.limits.release_trigger:
            self.low_since.pop(key, None)
            return facts
        return replace(facts, low_for_ms=now_ms - self.low_since.setdefault(key, now_ms))

    def _rested_ms(self, key: LoanKey, now_ms: int) -> int | None:
        rescue = self.rescues.get(key)
        ends = (self.flights.last_release_ms(key), None if rescue is None else rescue.closed_ms)
        known = [end for end in ends if end is not None]
        return now_ms - max(known) if known else None
