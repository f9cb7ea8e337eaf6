"""What the soak has found, without its chaos."""

from __future__ import annotations

from decimal import Decimal

from ltv_guard.adapters.journal import MemoryJournal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Owner, Product
from ltv_guard.guard.left_open import LeftOpen
from ltv_guard.guard.sender import Sender
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

OWNER = Owner("testnet", "1")


class StandingClock:
    """A clock that shows one moment."""

    def now(self) -> Moment:
        return Moment(exchange_ms=10, monotonic_ms=10)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def an_add(intent_id: str, amount: str, *, rescue_of: str | None = None) -> Intent:
    return Intent(
        intent_id=intent_id,
        owner=OWNER,
        account="main",
        key=LoanKey(Product.LEGACY, "1001"),
        direction=Direction.ADD,
        coin="BTC",
        amount=Decimal(amount),
        state=State.PLANNED,
        reason="",
        coins_before=Decimal(1),
        ltv_before=Decimal("0.85"),
        observed_at_ms=1,
        seen_ids=frozenset(),
        created_at_ms=1,
        updated_at_ms=1,
        rescue_of=rescue_of,
    )


async def test_a_rescue_that_was_killed_before_it_left_is_not_the_one_rescue() -> None:
    journal, clock = MemoryJournal(), StandingClock()
    first = an_add("first", "0.1")
    sent = first.to(State.SENT, 2, signed_at_ms=2, recv_window_ms=1000)
    await journal.plan(first)
    await journal.mark_sent(sent)
    await journal.record(sent, sent.to(State.UNKNOWN, 3))
    await journal.plan(an_add("killed", "0.2", rescue_of="first"))
    memory = Memory(journal)
    sender = Sender(memory.intents, clock, max_age_ms=1000, stopping=lambda: False)
    left_open = LeftOpen(memory.intents, sender, clock, AlertRepeater(lambda: 0))

    standing = await journal.standing(OWNER)
    memory.intents.remember(standing.open_intents)
    await left_open.take_over(standing.open_intents)

    await journal.plan(an_add("again", "0.3", rescue_of="first"))
