"""A journal that goes back while it is in use is as one that is new: it waits, and then goes on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

import pytest
import structlog
from contract_world import ModelContracts, a_pool_with_contracts
from core_builders import SENT, intent, key
from exchange_model import MARGIN_MS, POLICY, a_guard, a_world, key_of
from exchange_world import OWED, WINDOW_MS

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Product
from ltv_guard.core.model.policy import CollateralRepayRule
from ltv_guard.core.model.timing import TIMING
from ltv_guard.guard.journal_trust import CLOCKS_APART_MS, JournalTrust
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.state.memory import Memory

SELLS = replace(POLICY, repay_with_collateral=CollateralRepayRule(enabled=True))
SINCE_MS = SENT + 200_000


async def test_an_add_in_flight_that_the_journal_has_lost_is_not_made_twice() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    guard = a_guard(world, journal)
    before = journal.snapshot()
    world.answers = ["late:5900"]
    await guard.cycle()
    assert len(world.sent) == 1
    journal.goes_back(before)
    with structlog.testing.capture_logs() as events:
        for _ in range(40):
            world.advance(500)
            await guard.cycle()
    assert len(world.sent) == len(world.applied) == 1
    assert world.ltv(key_of(1)) <= Decimal("0.65")
    assert [item["log_level"] for item in events if item["event"] == "journal_restored"] == ["critical"]
    assert not any(item.is_open for item in guard._memory.intents.every)


async def test_what_was_lost_and_never_landed_is_made_good_after_the_wait() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    guard = a_guard(world, journal)
    before = journal.snapshot()
    world.answers = ["lost_request"]
    await guard.cycle()
    journal.goes_back(before)
    world.advance(WINDOW_MS + MARGIN_MS - 200)
    await guard.cycle()
    assert len(world.sent) == 1
    for _ in range(40):
        world.advance(500)
        await guard.cycle()
    assert len(world.sent) == 2
    assert world.ltv(key_of(1)) <= Decimal("0.65")
    assert [item.state for item in journal.snapshot().intents.values()] == [State.CONFIRMED]


async def test_a_journal_that_is_new_goes_on_though_the_last_fixed_loan_is_gone_meanwhile() -> None:
    """Its list of repayments is asked for no longer: nothing waits for it."""
    world = a_pool_with_contracts(
        a_world("0.77", pool="0.5", owed="90000"),
        {OWED: Decimal("0.1")},
        ends_in_ms=4_000,
        at_end=AtEnd.REPAID,
    )
    guard = a_guard(world, MemoryJournal(), policy=SELLS, continuous=False, contracts=ModelContracts(world))
    for _ in range(40):
        await guard.cycle()
        world.advance(500)
    assert world.contracts == []
    assert world.ltv(key_of(1)) <= Decimal("0.65")


BEFORE, SINCE = SINCE_MS - CLOCKS_APART_MS - 1, SINCE_MS - CLOCKS_APART_MS


@pytest.mark.parametrize(
    ("ours", "adjusted"),
    [
        (None, True),
        (intent(State.CONFIRMED, updated_at_ms=BEFORE), True),
        (intent(State.ABSENT, updated_at_ms=BEFORE), True),
        (intent(State.CONFIRMED, updated_at_ms=SINCE), False),
        (intent(State.REJECTED, updated_at_ms=SINCE), False),
    ],
    ids=["none", "before", "lost before", "since", "refused since"],
)
def test_what_was_read_shows_what_ended_before_and_not_whom_we_adjusted_since(
    ours: Intent | None, *, adjusted: bool
) -> None:
    assert adjusted_since(ours) == (set() if adjusted else {key()})


@pytest.mark.parametrize(
    "ours",
    [
        intent(State.ACCEPTED, updated_at_ms=BEFORE),
        intent(State.UNKNOWN, updated_at_ms=BEFORE),
        intent(State.ABSENT, updated_at_ms=SINCE),
        intent(State.AMBIGUOUS, updated_at_ms=SINCE),
        intent(State.CONFIRMED, updated_at_ms=SINCE, awaits_row=True),
        intent(State.CONFIRMED, updated_at_ms=SINCE, direction=Direction.REPAY),
        replace(intent(State.CONFIRMED, updated_at_ms=SINCE), key=LoanKey(Product.CRYPTO_LOAN, "pool")),
        None,
    ],
    ids=["accepted", "unknown", "lost", "odd", "its row is awaited", "repaid", "a pool's", "a new journal"],
)
def test_what_it_lacks_is_not_known_where_one_is_open_or_ended_oddly(ours: Intent | None) -> None:
    assert adjusted_since(ours, continuous=ours is not None) is None


def adjusted_since(ours: Intent | None, *, continuous: bool = True) -> Collection[LoanKey] | None:
    memory = Memory(MemoryJournal(), TIMING.backoff)
    memory.intents.remember([] if ours is None else [ours])
    options = GuardOptions(account="main", environment="testnet", continuous=continuous)
    trust = JournalTrust(options, memory, a_world("0.60"))
    return trust.adjusted_since(Moment(exchange_ms=SINCE_MS, monotonic_ms=0), Product.LEGACY)
