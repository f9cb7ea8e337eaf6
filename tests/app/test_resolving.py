"""A person's word on how an intent ended, given by another process, reaches the guard that is running."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import structlog
from e2e_world import NEEDY, ran, scenario_of
from exchange_model import World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction
from ltv_guard.guard.cycle import Guard

if TYPE_CHECKING:
    from conftest import OpenWorld

ONE = key_of(1)
DAY_MS = 86_400_000


async def cycles(guard: Guard, world: World, count: int, ms: int = 2_000) -> None:
    for _ in range(count):
        await guard.cycle()
        world.advance(ms)


def only(journal: MemoryJournal) -> Intent:
    (intent,) = journal.snapshot().intents.values()
    return intent


def remembered(guard: Guard) -> dict[str, State]:
    return {intent.intent_id: intent.state for intent in guard._memory.intents.every}


async def an_unknown_add(answer: str) -> tuple[World, MemoryJournal, Guard]:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers = [answer]
    world.history_down = True
    guard = a_guard(world, journal)
    await cycles(guard, world, 6)
    assert only(journal).state is State.UNKNOWN
    return world, journal, guard


@pytest.mark.parametrize(
    ("answer", "word"), [("lost_answer", State.CONFIRMED), ("lost_request", State.ABSENT)]
)
async def test_what_a_person_resolved_is_what_the_guard_remembers(answer: str, word: State) -> None:
    world, journal, guard = await an_unknown_add(answer)
    with structlog.testing.capture_logs() as events:
        await journal.resolve(only(journal).intent_id, word, world.now().exchange_ms, forced=True)
        await guard.cycle()
    resolved = next(iter(journal.snapshot().intents))
    assert remembered(guard)[resolved] is word
    (told,) = [event for event in events if event["event"] == "adjustment_resolved"]
    assert (told["intent_id"], told["intent_state"]) == (resolved, word)


async def test_what_was_resolved_as_absent_no_longer_counts_in_the_daily_cap() -> None:
    world, journal, guard = await an_unknown_add("lost_request")
    assert guard._memory.intents.spent_24h(Direction.ADD, world.now(), {})
    await journal.resolve(only(journal).intent_id, State.ABSENT, world.now().exchange_ms)
    world.orders_down = True
    await guard.cycle()
    assert not guard._memory.intents.spent_24h(Direction.ADD, world.now(), {})


@pytest.mark.parametrize("late_by_ms", [0, -3_600_000], ids=["a clock that agrees", "an hour slow"])
async def test_an_absent_one_that_a_person_found_is_heard_of_soon(late_by_ms: int) -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers = ["lost_request"]
    guard = a_guard(world, journal)
    await cycles(guard, world, 30)
    absent = next(item for item in journal.snapshot().intents.values() if item.state is State.ABSENT)
    await journal.resolve(
        absent.intent_id, State.CONFIRMED, world.now().exchange_ms + late_by_ms, forced=True
    )
    await cycles(guard, world, 6)
    assert remembered(guard)[absent.intent_id] is State.CONFIRMED


async def test_a_quiet_guard_does_not_ask_the_journal_for_changes() -> None:
    world, journal = a_world("0.60"), MemoryJournal()
    guard = a_guard(world, journal)
    await guard.cycle()
    asked: list[object] = []
    journal.recent_intents = lambda *_: asked.append(_)  # type: ignore[assignment, method-assign, func-returns-value]
    await cycles(guard, world, 20)
    assert not asked


async def test_the_row_of_what_was_resolved_as_confirmed_is_not_the_users_own_hand() -> None:
    world, journal, guard = await an_unknown_add("lost_answer")
    await journal.resolve(only(journal).intent_id, State.CONFIRMED, world.now().exchange_ms, forced=True)
    world.history_down = False
    world.price *= 3  # low enough to release, and no hand has added
    await cycles(guard, world, 12)
    assert [item.direction for item in world.sent] == [Direction.ADD, Direction.REDUCE]


async def test_after_a_restart_as_well() -> None:
    world, journal, guard = await an_unknown_add("lost_answer")
    await journal.resolve(only(journal).intent_id, State.CONFIRMED, world.now().exchange_ms, forced=True)
    world.history_down = False
    guard = a_guard(world, journal)
    await guard.cycle()
    exchange = guard._exchange.by_product[ONE.product]
    guard._memory.shelf.histories |= {exchange.channel: await exchange.history(0)}
    assert not guard._memory.rows.by_others(ONE)


async def test_the_same_amount_by_hand_an_hour_later_is_a_hand() -> None:
    world, journal, guard = await an_unknown_add("lost_answer")
    await journal.resolve(only(journal).intent_id, State.CONFIRMED, world.now().exchange_ms, forced=True)
    world.history_down = False
    world.advance(3_600_000)
    assert world.move(ONE, Direction.ADD, only(journal).amount, None)
    await guard.cycle()
    exchange = guard._exchange.by_product[ONE.product]
    guard._memory.shelf.histories |= {exchange.channel: await exchange.history(0)}
    assert len(guard._memory.rows.by_others(ONE)) == 1


async def test_an_intent_older_than_the_exchanges_history_goes_to_a_human() -> None:
    world, journal, guard = await an_unknown_add("lost_request")
    old = only(journal)
    world.history_down = False
    world.advance(181 * DAY_MS)
    asked: list[int] = []
    guard = a_guard(world, journal)
    reading = guard._exchange.by_product[ONE.product].history

    async def history(since_ms: int) -> object:
        asked.append(world.now().exchange_ms - since_ms)
        return await reading(since_ms)

    guard._exchange.by_product[ONE.product].history = history  # type: ignore[method-assign, assignment]
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 200)
    assert journal.snapshot().intents[old.intent_id].state is State.UNKNOWN
    told = [event for event in events if event["event"] == "adjustment_unsettled"]
    assert len(told) > 1
    assert all(event["log_level"] == "critical" for event in told)
    assert f"journal resolve {old.intent_id}" in told[0]["mend"]
    assert "six months" in told[0]["waiting_for"]
    assert max(asked, default=0) < 2 * DAY_MS  # nothing further back can settle this intent
    await journal.resolve(old.intent_id, State.ABSENT, world.now().exchange_ms)
    await cycles(guard, world, 3)
    assert world.ltv(ONE) <= Decimal("0.65")


async def test_one_of_five_months_is_still_settled_from_the_history() -> None:
    world, journal, guard = await an_unknown_add("lost_answer")
    world.history_down = False
    world.advance(150 * DAY_MS)
    guard = a_guard(world, journal)
    await cycles(guard, world, 10)
    assert only(journal).state is State.CONFIRMED


@pytest.mark.slow
async def test_journal_resolve_frees_the_loan_of_a_running_daemon(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("close_before", endpoint="adjust")
        world.fault("http_error", endpoint="history", times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            (intent,) = await world.intents()

            async def resolved() -> bool:
                status, _ = await ran(
                    "journal", "resolve", intent.intent_id, "--as", "absent", "-c", world.config_file
                )
                return status == 0

            await world.until(resolved)  # not before its window and a margin are over
            await world.until(lambda: bool(world.heard("adjustment_resolved")))
            world.exchange.clear_faults()
            await world.until_settled_at_target()
        await world.judge()
