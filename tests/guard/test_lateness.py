"""How late the exchange shows what was done is measured, and widens the margins, and never narrows them."""

from __future__ import annotations

from decimal import Decimal

import pytest
import structlog
from exchange_model import World, a_guard, a_world
from transfers_and_repayments import ADD, ONE, cycles, landed, states

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.lag import GAP_MS, KEPT_MS, MOST_MS, Lateness

ASSUMED = SettlementTimeouts(processing_margin_ms=2_000, history_lag_ms=5_000)
LANDED = 1_000_000


def measured(*lacked_ms: int, shown_ms: int) -> Lateness:
    found = Lateness()
    for ms in lacked_ms:
        found.lacks("loans", "i1", LANDED + ms)
    found.shows("loans", "i1", LANDED + shown_ms, LANDED)
    return found


@pytest.mark.parametrize(
    ("lacked", "shown", "lag"),
    [
        ([], 15_000, 0),  # nobody looked before: that says nothing of how late it was
        ([1_000], 2_500, 2_500),
        ([1_000, 7_000], 8_000, 8_000),
        ([1_000], 600_000, 1_000 + GAP_MS),  # the reads between failed
        ([-500], 200, 200),
    ],
)
def test_a_lag_lies_between_the_last_read_that_lacked_it_and_the_first_that_did_not(
    lacked: list[int], shown: int, lag: int
) -> None:
    assert measured(*lacked, shown_ms=shown).slowest()[1] == lag


@pytest.mark.parametrize(("lag", "used"), [(0, 5_000), (3_000, 5_000), (8_000, 10_000), (50_000, MOST_MS)])
def test_margins_are_a_quarter_wider_than_the_widest_lag_and_never_narrower_than_assumed(
    lag: int, used: int
) -> None:
    found = measured(lag - 500, shown_ms=lag) if lag else Lateness()
    assert found.timeouts(ASSUMED).history_lag_ms == used


def test_an_old_read_later_on_is_no_lag_and_a_lag_of_yesterday_is_forgotten() -> None:
    found = measured(1_000, 7_000, shown_ms=8_000)
    found.lacks("loans", "i1", LANDED + 90_000)
    found.shows("loans", "i1", LANDED + 92_000, LANDED)
    assert found.slowest() == ("loans", 8_000)
    later = LANDED + KEPT_MS + 10_000
    found.lacks("loans", "i2", later + 100)
    found.shows("loans", "i2", later + 200, later)
    assert found.slowest() == ("loans", 200)


def fall_to(world: World, ltv: str) -> None:
    world.price = world.price * world.ltv(ONE) / Decimal(ltv)
    world.note()


async def test_of_loans_that_are_late_alone_it_is_told_that_they_are() -> None:
    world = a_world("0.79")
    guard = a_guard(world, MemoryJournal())
    world.stale_ms = 12_000
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 40)
    told = [item for item in logs if item["event"] == "exchange_slower_than_assumed"]
    assert {item["endpoint"] for item in told} == {"crypto_loan_legacy loans"}


@pytest.mark.parametrize("lag_ms", [7_000, 12_000, 20_000])
async def test_an_exchange_that_is_later_than_the_margins_doubles_nothing_once_that_was_measured(
    lag_ms: int,
) -> None:
    world, journal = a_world("0.79"), MemoryJournal()
    guard = a_guard(world, journal)
    world.stale_ms = world.row_lag_ms = lag_ms
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 40)
    assert landed(world) == [ADD]
    told = [item for item in logs if item["event"] == "exchange_slower_than_assumed"]
    assert all(item["measured_s"] <= item["used_s"] for item in told)
    assert told[-1]["used_s"] >= Decimal(lag_ms) / 1000
    world.answers = ["lost_answer"]
    fall_to(world, "0.79")
    await cycles(guard, world, 60)
    assert landed(world) == [ADD, ADD]
    assert states(journal, ADD) == [State.CONFIRMED, State.CONFIRMED]
