"""Adjustments between decision and effect, and what those that landed are remembered for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ltv_guard.core.amounts.fingerprint import coarsest, with_fingerprint
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Direction, LoanKey, Owner
from ltv_guard.replay.stress import ABSENT_MS, ANSWERED_MS, NEVER, NONE, WINDOW_MS, Stress

DAY_MS = 86_400_000
TURN_MS = 1_000  # the exchange takes one adjustment a second for a user and product
OWNER = Owner("replay", "replay")


@dataclass(slots=True, kw_only=True)
class Flight:
    """Mutable. `lands_ms`: when it takes effect; `known_ms`: when the guard knows how it ended.

    `answered`: whether it hears so by the answer; else it finds out.
    """

    intent: Intent
    lands_ms: int
    known_ms: int
    answered: bool = True
    landed: bool = False

    @property
    def sent_ms(self) -> int:
        """When it left: ms of the exchange."""
        return self.intent.created_at_ms

    def wakes_at(self, now_ms: int) -> int:
        """When its next thing happens (ms): effect, knowledge, of an unknown one the end of its window."""
        window_ms = self.sent_ms + WINDOW_MS
        is_waited_for = not self.answered and window_ms > now_ms
        lands_ms = self.known_ms if self.landed else self.lands_ms
        return min(self.known_ms, lands_ms, window_ms if is_waited_for else NEVER)

    def as_seen(self, now_ms: int) -> Intent:
        """As the guard has written it down."""
        unknown = not self.answered and now_ms >= self.sent_ms + ANSWERED_MS
        return replace(self.intent, state=State.UNKNOWN) if unknown else self.intent


@dataclass(slots=True, kw_only=True)
class Flights:
    """Mutable, of one account. `open` has those of which the guard does not know the end, in their order."""

    latency_ms: int
    seed: int
    stress: Stress = NONE
    open: list[Flight] = field(default_factory=list)
    landed: list[tuple[int, Intent]] = field(default_factory=list)
    rescued: dict[str, Intent] = field(default_factory=dict)  # by what each is the rescue of
    _free_at: dict[Channel, int] = field(default_factory=dict)
    _sent: int = 0

    def wakes_at(self, now_ms: int) -> int | None:
        """When the next thing happens to any of them (ms)."""
        return min((flight.wakes_at(now_ms) for flight in self.open), default=None)

    def of(self, key: LoanKey, now_ms: int) -> tuple[Intent, ...]:
        """What is under way of a loan, as far as the guard knows."""
        return tuple(flight.as_seen(now_ms) for flight in self.open if flight.intent.key == key)

    def window_is_over(self, key: LoanKey, now_ms: int) -> bool:
        """Whether nothing that is open of a loan can take effect any more."""
        own = [flight for flight in self.open if flight.intent.key == key]
        return bool(own) and all(now_ms >= flight.sent_ms + WINDOW_MS for flight in own)

    def turn_at(self, channel: Channel) -> int:
        """When the channel takes the next one (ms)."""
        return self._free_at.get(channel, 0)

    def send(self, decision: Decision, now_ms: int) -> bool:
        """Sends it. False, and nothing was sent, where no amount is left that tells it from earlier ones."""
        amount = self._amount(decision)
        if amount is None or decision.direction is None or decision.coin is None:
            return False
        key, channel = decision.loan.key, Channel(decision.loan.key.product, decision.direction.kind)
        self._sent += 1
        intent = Intent(
            intent_id=str(self._sent),
            owner=OWNER,
            account="replay",
            key=key,
            direction=decision.direction,
            coin=decision.coin,
            amount=amount,
            state=State.SENT,
            reason=decision.cause,
            coins_before=_before(decision),
            ltv_before=decision.loan.ltv,
            observed_at_ms=now_ms,
            seen_ids=frozenset(),
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            rescue_of=decision.rescue_of,
            collateral_coin=decision.collateral_coin,
        )
        if decision.rescue_of is not None:
            self.rescued[decision.rescue_of] = intent
        self.open.append(self._flight(intent, now_ms))
        self._free_at[channel] = now_ms + TURN_MS
        return True

    def _flight(self, intent: Intent, now_ms: int) -> Flight:
        fate, lands_ms = self.stress.fate(self.seed, self._sent), now_ms + self.latency_ms
        known_ms = lands_ms if fate.answered else max(lands_ms, now_ms + ANSWERED_MS)
        if not fate.arrives:
            lands_ms, known_ms = NEVER, now_ms + ABSENT_MS
        return Flight(intent=intent, lands_ms=lands_ms, known_ms=known_ms, answered=fate.answered)

    def landing(self, now_ms: int) -> list[Intent]:
        """Those that take effect by now, in the order in which they were sent."""
        found = [flight for flight in self.open if not flight.landed and flight.lands_ms <= now_ms]
        for flight in found:
            flight.landed = True
        return [flight.intent for flight in found]

    def settled(self, now_ms: int) -> list[Flight]:
        """Those whose end the guard knows by now: they are open no longer."""
        found = [flight for flight in self.open if flight.known_ms <= now_ms]
        self.open = [flight for flight in self.open if flight.known_ms > now_ms]
        return found

    def put_off(self, now_ms: int, until_ms: int) -> None:
        """What the guard would learn now, it learns at `until_ms` instead: it does not look before."""
        for flight in self.open:
            if flight.known_ms <= now_ms:
                flight.known_ms = until_ms

    def spent_24h(
        self, direction: Direction, now_ms: int, *, with_collateral: bool = False
    ) -> dict[str, Decimal]:
        """Coins that were added (repaid) within a day, or are about to be."""
        spent: dict[str, Decimal] = {}
        recent = [intent for at, intent in self.landed if now_ms - at < DAY_MS]
        counted = {intent.intent_id for intent in recent}
        under_way = (item.intent for item in self.open if item.intent.intent_id not in counted)
        for intent in (*recent, *under_way):
            if intent.direction is direction and with_collateral is (intent.collateral_coin is not None):
                spent[intent.coin] = spent.get(intent.coin, Decimal(0)) + intent.amount
        return spent

    def last_release_ms(self, key: LoanKey) -> int | None:
        """When the loan's last release took effect."""
        ends = (at for at, item in self.landed if item.key == key and item.direction is Direction.REDUCE)
        return max(ends, default=None)

    def _amount(self, decision: Decision) -> Decimal | None:
        """The amount as the guard would send it: the n-th adjustment tries the n-th fingerprint first."""
        loan, coin, before = decision.loan, decision.coin or "", _before(decision)
        held, debt = loan.collateral_in(coin), loan.debt_in(coin)
        if decision.direction is Direction.REPAY:
            accuracy = coarsest(debt.accuracy, debt.amount) if debt is not None else 0
        else:
            accuracy = held.accuracy if held is not None else 0
        return with_fingerprint(
            min(decision.amount, decision.ceiling),
            accuracy=accuracy,
            reference=max(before, decision.amount),
            ceiling=decision.ceiling,
            taken=self._taken(loan.key),
            seed=self.seed + self._sent,
            upward=decision.direction is not Direction.REDUCE,
        )

    def _taken(self, key: LoanKey) -> Collection[Decimal]:
        every = (*(item for _, item in self.landed), *(flight.intent for flight in self.open))
        return {item.amount for item in every if item.key == key}


def _before(decision: Decision) -> Decimal:
    coin = decision.coin or ""
    found = (
        decision.loan.debt_in(coin)
        if decision.direction is Direction.REPAY
        else decision.loan.collateral_in(coin)
    )
    return Decimal(0) if found is None else found.amount
