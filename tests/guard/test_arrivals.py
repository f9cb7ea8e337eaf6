"""Whether a transfer that landed shows in the Funding wallet yet: until it does, no other follows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import START_MS, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Owner, Product
from ltv_guard.guard.state.memory import Memory

ECHO_MS = 10_000


def intent(name: str, direction: Direction, amount: str, **about: object) -> Intent:
    made = Intent(
        intent_id=name,
        owner=Owner("testnet", "7"),
        account="main",
        key=LoanKey(Product.FUNDING, "BTC") if direction is Direction.TRANSFER else key_of(1),
        direction=direction,
        coin="BTC",
        amount=Decimal(amount),
        state=State.CONFIRMED,
        reason="",
        coins_before=Decimal("0.06"),
        ltv_before=Decimal("0.77"),
        observed_at_ms=START_MS - 100,
        seen_ids=frozenset(),
        created_at_ms=START_MS,
        updated_at_ms=START_MS + 2_000,
    )
    return replace(made, **about)  # type: ignore[arg-type]


def is_on_its_way(
    wallet: str, *others: Intent, state: State = State.CONFIRMED, after_ms: int = 3_000
) -> bool:
    return are_on_their_way(wallet, *others, state=state, after_ms=(after_ms,))[-1]


def are_on_their_way(
    wallet: str, *others: Intent, after_ms: tuple[int, ...], state: State = State.CONFIRMED
) -> list[bool]:
    """At each of several reads of the wallet."""
    memory = a_memory(*others, state=state)
    return [seen(memory, wallet, ms) for ms in after_ms]


def a_memory(*others: Intent, state: State = State.CONFIRMED) -> Memory:
    memory = Memory(MemoryJournal())
    memory.intents.remember([intent("moved", Direction.TRANSFER, "0.09", state=state), *others])
    return memory


def seen(memory: Memory, wallet: str, ms: int) -> bool:
    """Whether the transfer is on its way where the wallet shows that."""
    read, shown = Moment(exchange_ms=START_MS + ms, monotonic_ms=ms), {"BTC": Decimal(wallet)}
    memory.wallet.saw(shown, read, longest_ms=ECHO_MS)
    return "BTC" in memory.wallet.on_the_way(shown, read, longest_ms=ECHO_MS)


LATER = intent("later", Direction.ADD, "0.06", created_at_ms=START_MS + 2_500, state=State.ACCEPTED)
AT_ONCE = intent("at once", Direction.ADD, "0.06", created_at_ms=START_MS - 1, state=State.ACCEPTED)
LONG_AGO = intent("long ago", Direction.ADD, "0.06", created_at_ms=START_MS - 5_000, state=State.UNKNOWN)
SOON = intent("soon", Direction.ADD, "0.04", created_at_ms=START_MS + 2_400)
LARGE = intent("large", Direction.ADD, "0.10", created_at_ms=START_MS + 2_500, state=State.UNKNOWN)
REFUSED = intent("refused", Direction.ADD, "0.06", created_at_ms=START_MS + 2_500, state=State.REJECTED)


@pytest.mark.parametrize(
    ("wallet", "others", "awaited"),
    [
        ("0.15", (), False),
        ("0.06", (), True),
        ("0.14", (), True),
        ("0.16", (), True),  # the user put coins there: whether ours are among them, nothing tells yet
        ("5", (), True),
        ("0.15", (LATER,), False),
        ("0.16", (LATER,), True),
        ("0.09", (LATER,), False),
        ("0.06", (LATER,), True),  # found by the state machine: it shows neither the add nor the transfer
        ("0.11", (SOON, LARGE), False),
        ("0.01", (SOON, LARGE), False),
        (
            "0.02",
            (SOON, LARGE),
            True,
        ),  # found by the state machine: spent from, and not filled yet
        ("0.09", (AT_ONCE,), False),
        ("0.09", (LONG_AGO,), True),
        ("0.09", (REFUSED,), True),
    ],
)
def test_it_has_arrived_once_its_coins_show_but_for_what_was_spent_since(
    wallet: str,
    others: tuple[Intent, ...],
    awaited: bool,  # noqa: FBT001
) -> None:
    assert is_on_its_way(wallet, *others) is awaited


def test_what_does_not_show_for_longer_than_old_facts_can_is_gone() -> None:
    looks = (2_000, 8_000, 2_000 + ECHO_MS)
    assert are_on_their_way("0.06", after_ms=looks) == [True, True, False]


@pytest.mark.parametrize("wallet", ["0.05", "0.2"])
def test_what_others_took_or_put_there_is_believed_once_it_has_been_shown_for_as_long(wallet: str) -> None:
    """And then it is what the next wallet is measured by: what was spent of it is no riddle."""
    memory = a_memory()
    assert [seen(memory, wallet, ms) for ms in (2_000, 8_000, 2_000 + ECHO_MS)] == [True, True, False]
    spent = intent("spent", Direction.ADD, "0.03", created_at_ms=START_MS + 12_500)
    memory.intents.remember([spent])
    assert not seen(memory, str(Decimal(wallet) - Decimal("0.03")), 14_000)
    assert seen(memory, "0.06", 16_000)  # an old replica


def test_one_read_that_does_not_show_it_minutes_later_is_old() -> None:
    looks = (120_000, 126_000, 120_000 + ECHO_MS)
    assert are_on_their_way("0.06", after_ms=looks) == [True, True, False]
    assert are_on_their_way("0.06", after_ms=(120_000, 180_000)) == [True, True]  # nobody looked between
    assert are_on_their_way("0.06", after_ms=(603_000,)) == [False]


def test_an_open_one_is_on_its_way_whatever_shows() -> None:
    assert is_on_its_way("0.15", state=State.UNKNOWN, after_ms=600_000)


def test_one_that_never_landed_is_not() -> None:
    assert not is_on_its_way("0.06", state=State.ABSENT)


def test_a_coin_that_could_not_be_read_is_not_taken_for_gone() -> None:
    memory = a_memory()
    for ms in range(2_000, 30_000, 1_000):
        read = Moment(exchange_ms=START_MS + ms, monotonic_ms=ms)
        memory.wallet.saw({"ETH": Decimal(1)}, read, longest_ms=ECHO_MS)
    assert seen(memory, "0.05", 31_000)
