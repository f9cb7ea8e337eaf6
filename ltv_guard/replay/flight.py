"""Adjustments between decision and effect, and what those that landed are remembered for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.amounts.fingerprint import coarsest, with_fingerprint
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Direction, LoanKey, Owner

DAY_MS = 86_400_000
TURN_MS = 1_000  # the exchange takes one adjustment a second for a user and product
OWNER = Owner("replay", "replay")


@dataclass(slots=True, kw_only=True)
class Flights:
    """Mutable, of one account. `due` has what is under way, with the time at which it takes effect."""

    latency_ms: int
    seed: int
    due: list[tuple[int, Intent]] = field(default_factory=list)
    landed: list[tuple[int, Intent]] = field(default_factory=list)
    _free_at: dict[Channel, int] = field(default_factory=dict)
    _sent: int = 0

    def of(self, key: LoanKey) -> tuple[Intent, ...]:
        """What is under way of a loan."""
        return tuple(intent for _, intent in self.due if intent.key == key)

    def turn_at(self, channel: Channel) -> int:
        """When the channel takes the next one."""
        return self._free_at.get(channel, 0)

    def send(self, decision: Decision, now_ms: int) -> bool:
        """Whether it left: not where no amount of it can be told apart."""
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
        )
        self.due.append((now_ms + self.latency_ms, intent))
        self._free_at[channel] = now_ms + TURN_MS
        return True

    def landing(self, now_ms: int) -> Iterator[Intent]:
        """Those that take effect by now, in the order in which they were sent."""
        while self.due and self.due[0][0] <= now_ms:
            yield self.due.pop(0)[1]

    def spent_24h(self, direction: Direction, now_ms: int) -> dict[str, Decimal]:
        """Coins that were added (repaid) within a day, or are about to be."""
        spent: dict[str, Decimal] = {}
        recent = [intent for at, intent in self.landed if now_ms - at < DAY_MS]
        for intent in (*recent, *(intent for _, intent in self.due)):
            if intent.direction is direction:
                spent[intent.coin] = spent.get(intent.coin, Decimal(0)) + intent.amount
        return spent

    def last_release_ms(self, key: LoanKey) -> int | None:
        """When the loan's last release took effect."""
        ends = (at for at, item in self.landed if item.key == key and item.direction is Direction.REDUCE)
        return max(ends, default=None)

    def _amount(self, decision: Decision) -> Decimal | None:
        """With a fingerprint, as the guard sends it: the n-th adjustment begins with the n-th one."""
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
            taken={item.amount for _, item in self.landed if item.key == loan.key},
            seed=self.seed + self._sent,
            upward=decision.direction is not Direction.REDUCE,
        )


def _before(decision: Decision) -> Decimal:
    coin = decision.coin or ""
    found = (
        decision.loan.debt_in(coin)
        if decision.direction is Direction.REPAY
        else decision.loan.collateral_in(coin)
    )
    return Decimal(0) if found is None else found.amount
