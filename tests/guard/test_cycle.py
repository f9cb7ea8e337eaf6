"""The cycle against an exchange in virtual time: each stop on the way from decision to confirmed change."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from unittest.mock import AsyncMock

import pytest
import structlog
from exchange_model import (
    POLICY,
    POOL,
    Crash,
    Kinds,
    ModelLoans,
    ModelPath,
    World,
    a_guard,
    a_world,
    key_of,
    with_limits,
)
from transfers_and_repayments import crossed_with_answers

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import ExchangeUnavailable, JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Direction, Loan, LoanKey, Owner
from ltv_guard.core.ports import Hear, Pause, SignedAdjustment, Standing
from ltv_guard.guard.cycle import Guard

ONE = key_of(1)
TARGET = Decimal("0.65")


def states(journal: MemoryJournal) -> list[State]:
    return [item.state for item in sorted(journal.snapshot().intents.values(), key=lambda i: i.created_at_ms)]


async def cycles(guard: Guard, world: World, count: int = 30, ms: int = 2_000) -> None:
    for _ in range(count):
        await guard.cycle()
        world.advance(ms)


async def test_a_breach_is_answered_and_confirmed() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    await cycles(guard, world, 3)
    assert states(journal) == [State.CONFIRMED]
    assert TARGET - Decimal("0.001") <= world.ltv(ONE) <= TARGET


async def test_a_quiet_loan_is_left_alone() -> None:
    world, journal = a_world("0.60"), MemoryJournal()
    await cycles(a_guard(world, journal), world, 3)
    assert states(journal) == []


async def test_dry_run_sends_and_writes_nothing() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    await cycles(a_guard(world, journal, live=False), world, 3)
    assert (states(journal), world.sent, journal.snapshot().episodes) == ([], [], {})


async def test_a_low_loan_is_released_once_it_was_low_for_long_enough() -> None:
    world, journal = a_world("0.30"), MemoryJournal()
    guard = a_guard(world, journal)
    await cycles(guard, world, 4)
    assert states(journal) == []
    await cycles(guard, world, 4)
    assert states(journal) == [State.CONFIRMED]
    assert Decimal("0.549") <= world.ltv(ONE) <= Decimal("0.55")


@pytest.mark.parametrize(
    ("answer", "ended"), [("lost_request", State.ABSENT), ("refused_maximum", State.REJECTED)]
)
async def test_a_release_that_may_have_landed_unseen_is_not_repeated_within_the_cooldown(
    answer: str, ended: State
) -> None:
    """A refused one may have landed too, where the exchange took it twice and answered the second."""
    world, journal = a_world("0.30"), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = [answer]
    while ended not in states(journal):
        await cycles(guard, world, 1)
    await cycles(guard, world, POLICY.limits.cooldown_ms // 2_000 - 1)
    assert (len(world.sent), states(journal)) == (1, [ended])
    await cycles(guard, world, 5)
    assert states(journal) == [ended, State.CONFIRMED]


async def test_a_lost_answer_ends_as_one_adjustment_confirmed_from_the_history() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    world.answers = ["lost_answer"]
    await cycles(a_guard(world, journal), world)
    assert states(journal) == [State.CONFIRMED]
    assert len(world.applied) == 1


async def test_a_lost_request_is_absent_after_its_window_and_then_planned_anew_with_another_mark() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers = ["lost_request"]
    await cycles(a_guard(world, journal), world)
    first, second = sorted(journal.snapshot().intents.values(), key=lambda item: item.created_at_ms)
    assert (first.state, second.state) == (State.ABSENT, State.CONFIRMED)
    assert second.created_at_ms - (first.signed_at_ms or 0) >= 5_000 + 2_000 + 5_000
    assert first.amount != second.amount


async def test_a_lost_answer_blocks_only_its_own_loan() -> None:
    world, journal = a_world("0.78", "0.77"), MemoryJournal()
    world.answers = ["lost_request"]
    await cycles(a_guard(world, journal), world, 2)
    assert world.ltv(key_of(2)) <= TARGET
    assert world.ltv(ONE) > TARGET


async def test_an_add_that_is_applied_late_is_never_made_twice() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers = ["late:5900"]
    await cycles(a_guard(world, journal), world)
    assert states(journal) == [State.CONFIRMED]
    assert len(world.applied) == 1


async def test_old_collateral_after_an_add_is_not_acted_on() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    await guard.cycle()
    world.stale_ms = 5_000
    for _ in range(3):
        world.advance(1_500)
        await guard.cycle()
    assert len(world.sent) == 1


async def test_new_collateral_beside_an_old_ltv_does_not_release_again() -> None:
    world, journal = a_world("0.30"), MemoryJournal()
    guard = a_guard(world, journal)
    while not world.sent:
        world.advance(2_000)
        await guard.cycle()
    world.old_ltv_ms = 20_000
    for _ in range(8):
        world.advance(2_000)
        await guard.cycle()
    assert len(world.sent) == 1


async def test_what_the_user_takes_out_again_is_added_again() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    await cycles(guard, world, 3)
    added = world.sent[0].amount
    assert world.move(ONE, Direction.REDUCE, added, None)
    await cycles(guard, world, 10)
    assert world.ltv(ONE) <= Decimal("0.75")


async def test_a_rescue_is_allowed_once_while_an_add_stays_unknown_in_an_emergency() -> None:
    world, journal = a_world("0.81"), MemoryJournal()
    world.answers = ["lost_request"]
    world.history_down = True
    guard = a_guard(world, journal)
    await cycles(guard, world, 20)
    assert len(world.sent) == 2
    rescue = world.sent[1]
    assert rescue.rescue_of == world.sent[0].intent_id
    world.price *= Decimal("0.75")
    await cycles(guard, world, 20)
    assert len(world.sent) == 2


async def test_an_unknown_rescue_is_not_rescued() -> None:
    world, journal = a_world("0.81"), MemoryJournal()
    world.answers = ["lost_request", "lost_request", "ok"]
    world.history_down = True
    guard = a_guard(world, journal)
    await cycles(guard, world, 40)
    assert len(world.sent) == 2


async def test_an_open_release_does_not_block_an_add() -> None:
    world, journal = a_world("0.30"), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = ["lost_answer"]
    while not world.sent:
        world.advance(2_000)
        await guard.cycle()
    world.history_down = True
    world.price *= Decimal("0.70")
    await cycles(guard, world, 3)
    assert [item.direction for item in world.sent] == [Direction.REDUCE, Direction.ADD]
    assert world.sent[1].rescue_of == world.sent[0].intent_id
    assert world.ltv(ONE) <= TARGET


@pytest.mark.parametrize(("key", "falls_to"), [(ONE, "0.75"), (POOL, "0.65")], ids=["order", "pool"])
@pytest.mark.parametrize("listed", [True, False])
async def test_beside_a_release_that_does_not_end_a_loan_that_falls_on_is_helped_each_time(
    key: LoanKey,
    falls_to: str,
    listed: bool,  # noqa: FBT001 - parametrized
) -> None:
    world = a_world("0.38") if key == ONE else a_world(pool="0.38")
    journal = MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = ["pending:36000000"]
    await cycles(guard, world, 10)
    if not listed:
        world.rows.clear()
    world.price *= Decimal("0.50")
    for number in range(2, 5):
        await cycles(guard, world, 40)
        assert len(world.sent) == number
        assert world.ltv(key) <= TARGET
        world.price *= Decimal(falls_to)
        world.note()
    release, *adds = world.sent
    assert release.direction is Direction.REDUCE
    assert [item.rescue_of for item in adds] == [item.intent_id for item in world.sent[:-1]]


@pytest.mark.parametrize("late", ["old_ltv_ms", "stale_ms"])
async def test_but_not_while_the_add_before_is_not_shown(late: str) -> None:
    world = a_world("0.38")
    guard = a_guard(world, MemoryJournal())
    world.answers = ["pending:36000000"]
    await cycles(guard, world, 10)
    world.price *= Decimal("0.50")
    world.note()
    while len(world.sent) < 2:
        world.advance(1_000)
        await guard.cycle()
    added_ms = world.true_ms
    for _ in range(15):
        setattr(world, late, world.true_ms - added_ms + 500)
        await cycles(guard, world, 1)
    assert len(world.sent) == 2


async def test_a_blind_guard_says_so_once_and_when_it_sees_again() -> None:
    world, journal = a_world("0.60"), MemoryJournal()
    guard = a_guard(world, journal)
    with structlog.testing.capture_logs() as events:
        world.orders_down = True
        await cycles(guard, world, 6)
        world.orders_down = False
        await cycles(guard, world, 2)
    names = [event["event"] for event in events]
    assert names.count("guard_blind") == 1
    assert names.count("guard_recovered") == 1


async def test_nothing_is_sent_on_facts_that_grew_old_while_waiting_for_the_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    sign = ModelPath.sign

    async def waits(self: ModelPath, intent: Intent) -> SignedAdjustment:
        world.advance(11_000)
        return await sign(self, intent)

    monkeypatch.setattr(ModelPath, "sign", waits)
    await guard.cycle()
    assert (states(journal), world.sent) == ([State.WITHDRAWN], [])


async def test_a_breach_whose_adds_never_leave_is_critical_until_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    down = ExchangeUnavailable("the clock can't be measured")
    with structlog.testing.capture_logs() as events:
        with monkeypatch.context() as held:
            held.setattr(ModelPath, "sign", AsyncMock(side_effect=down))
            await cycles(guard, world, 6)
        await cycles(guard, world, 3)
    told = [item for item in events if item["event"] in {"breach_unanswered", "breach_answered"}]
    assert [item["event"] for item in told] == ["breach_unanswered", "breach_answered"]
    assert (told[0]["log_level"], told[0]["why"]) == ("critical", f"not sent: {down}")
    assert world.ltv(ONE) <= TARGET


async def test_a_pause_between_decision_and_send_is_obeyed() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)

    def pause_at_the_last_moment(name: str) -> None:
        if name == "write_sent":
            journal.on_write = lambda _: None
            journal._held.pauses[None] = Pause(account=None, reason="look", since_ms=1)

    journal.on_write = pause_at_the_last_moment
    await guard.cycle()
    assert (states(journal), world.sent) == ([State.WITHDRAWN], [])


async def test_a_breach_while_paused_is_critical_and_repeated() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    await journal.pause(None, "look", 1)
    with structlog.testing.capture_logs() as events:
        await cycles(a_guard(world, journal), world, 100)
    cries = [event for event in events if event["event"] == "breach_unanswered"]
    assert len(cries) >= 2
    assert all(event["log_level"] == "critical" for event in cries)
    assert world.sent == []


async def test_the_end_of_a_breach_that_was_not_answered_is_told_once() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    await journal.pause(None, "look", 1)
    guard = a_guard(world, journal)
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 3)
        await journal.resume(None)
        await cycles(guard, world, 3)
    told = [item for item in events if item["event"] in {"breach_unanswered", "breach_answered"}]
    assert [item["event"] for item in told] == ["breach_unanswered", "breach_answered"]
    assert (told[-1]["log_level"], "reason" in told[-1]) == ("warning", True)


async def test_the_heartbeat_says_what_is_wrong_now_and_how_each_loan_stands() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    await journal.pause(None, "look", 1)
    guard = a_guard(world, journal)
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 3)
        await journal.resume(None)
        await cycles(guard, world, 6)
    beats = [item for item in events if item["event"] == "cycle_finished"]
    assert (beats[2]["critical"], beats[-1]["critical"]) == (["breach_unanswered"], [])
    assert beats[0]["mode"] == "live"
    (ltv,) = beats[0]["ltvs"].values()
    assert ltv == beats[0]["worst_ltv"] == Decimal("0.80")


async def test_a_lasting_pause_is_told_each_hour() -> None:
    world, journal = a_world("0.60"), MemoryJournal()
    await journal.pause(None, "look", 1, until_ms=2)
    guard = a_guard(world, journal)
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 25, ms=600_000)  # four hours and ten minutes
        await journal.resume(None)
        await cycles(guard, world, 25, ms=600_000)
    told = [item["event"] for item in events if item["event"] in {"guard_paused", "guard_resumed"}]
    assert told == ["guard_paused"] * 5 + ["guard_resumed"]
    assert next(item for item in events if item["event"] == "guard_paused")["until"].startswith("1970")


async def test_a_new_journal_waits_for_what_an_earlier_one_may_have_sent() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal, continuous=False)
    await cycles(guard, world, 4, ms=1_500)
    assert world.sent == []
    await cycles(guard, world, 3)
    assert len(world.sent) == 1


async def test_without_a_journal_nothing_is_sent() -> None:
    world, journal = a_world("0.80"), MemoryJournal()

    def full_disk(name: str) -> None:
        raise JournalUnavailable(f"the disk is full ({name})")

    journal.on_write = full_disk
    with pytest.raises(JournalUnavailable):
        await a_guard(world, journal).cycle()
    assert world.sent == []


@pytest.mark.parametrize("direction", ["add", "reduce"])
@pytest.mark.parametrize(
    ("where", "answer"),
    crossed_with_answers(
        [
            *("write:write_sent:1", "before_send", "after_send", "write:record:1"),
            *("write:record:2", "write:write_episodes:1", "write:write_episodes:2"),
            *("write:plan:1", "write:mark_sent:1"),
        ],
        ["ok", "lost_answer", "lost_request", "late:4000", "refused", "not_sent"],
    ),
)
async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    where: str, answer: str, direction: str
) -> None:
    world, journal = a_world("0.80" if direction == "add" else "0.30"), MemoryJournal()
    world.answers = [answer]
    guard = a_guard(world, journal)
    crashed = False

    if where.startswith("write:"):
        _, wanted, number = where.split(":")
        left = [int(number)]
        world.slow_signings = int(wanted in {"plan", "mark_sent"})

        def crash(name: str) -> None:
            if name == wanted:
                left[0] -= 1
                if left[0] == 0:
                    raise Crash

        journal.on_write = crash
    else:
        world.crash_at = where
    for _ in range(60):
        try:
            await guard.cycle()
        except Crash:
            crashed = True
            journal = MemoryJournal.restored(journal.snapshot())
            world.monotonic_ms = 5
            guard = a_guard(world, journal)
        world.advance(2_000)
    assert crashed or "record:2" in where or "episode" in where or answer == "refused"
    assert len(world.applied) == 1
    assert not any(item.is_open for item in journal.snapshot().intents.values())
    confirmed = [item for item in journal.snapshot().intents.values() if item.state is State.CONFIRMED]
    assert [item.intent_id for item in confirmed] == world.applied
    goal = TARGET if direction == "add" else Decimal("0.55")
    assert goal - Decimal("0.001") <= world.ltv(ONE) <= goal


async def test_a_restart_that_cannot_read_the_history_still_tells_a_pools_old_ltv_from_its_new_one() -> None:
    """Found by the state machine: the row that tells what the coins count for is not there to be read."""
    world, journal = a_world(pool="0.80"), MemoryJournal()
    await cycles(a_guard(world, journal), world, 2)
    assert states(journal) == [State.CONFIRMED]
    world.history_down, world.old_ltv_ms = True, 20_000
    await cycles(a_guard(world, MemoryJournal.restored(journal.snapshot())), world, 4)
    assert len(world.sent) == 1


async def test_collateral_from_before_the_plan_itself_is_not_taken_for_a_liquidation() -> None:
    """Found by the state machine: a part is liquidated, we add, and then the time before both is shown."""
    world, journal = a_world("0.80"), MemoryJournal()
    world.liquidate_part(ONE, Decimal("0.02"))
    guard = a_guard(world, journal)
    await guard.cycle()
    assert len(world.sent) == 1
    world.advance(500)
    world.stale_ms = 2_000
    await cycles(guard, world, 2, ms=500)
    assert len(world.sent) == 1


async def test_an_open_release_that_would_leave_next_to_nothing_does_not_stop_the_cycle() -> None:
    """Found by the state machine: as if it had landed, the LTV is beyond what any loan can have."""
    world, journal = a_world("0.30", pool="0.60"), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = ["late:60000"]
    while not world.sent:
        world.advance(2_000)
        await guard.cycle()
    assert world.sent[0].direction is Direction.REDUCE
    world.liquidate_part(ONE, Decimal("0.52"))
    world.price *= Decimal("0.5")
    await cycles(guard, world, 3)
    assert [item.key for item in world.sent[1:]].count(POOL) == 1


async def test_a_small_add_is_not_made_twice_for_an_old_ltv_and_the_loan_not_left_alone_for_prices() -> None:
    policy = with_limits(POLICY, max_add={"BTC": Decimal("0.02")})
    world, journal = a_world("0.76"), MemoryJournal()
    guard = a_guard(world, journal, policy=policy)
    await guard.cycle()
    world.old_ltv_ms = 5_000
    await cycles(guard, world, 4, ms=1_000)
    assert len(world.sent) == 1
    world.old_ltv_ms, world.prices_off = 0, Decimal("1.05")
    world.price *= Decimal("0.99")
    await cycles(guard, world, 20, ms=1_000)
    assert len(world.sent) > 1


async def test_an_old_doubt_does_not_make_the_ltv_from_before_the_next_add_believed() -> None:
    """Found by the state machine: each add that lands may have its own time before it shown."""
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    await cycles(guard, world, 2)
    world.price *= Decimal("0.75")
    world.note()
    world.prices_down = True
    while len(world.sent) < 2:
        await cycles(guard, world, 1, ms=1_000)
    world.old_ltv_ms = 5_000
    await cycles(guard, world, 5, ms=900)
    assert len(world.sent) == 2


async def test_an_unknown_add_is_not_given_up_while_the_loans_cannot_be_read() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers = ["lost_request"]
    guard = a_guard(world, journal)
    await guard.cycle()
    world.orders_down = True
    await cycles(guard, world, 30)
    assert states(journal) == [State.UNKNOWN]
    world.orders_down = False
    await cycles(guard, world, 12)
    assert states(journal) == [State.ABSENT, State.CONFIRMED]


async def test_an_unknown_add_is_confirmed_by_its_row_even_while_the_loans_cannot_be_read() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers = ["lost_answer"]
    guard = a_guard(world, journal)
    await guard.cycle()
    world.orders_down = True
    await cycles(guard, world, 3)
    assert states(journal) == [State.CONFIRMED]


async def test_collateral_that_moved_by_our_amount_keeps_its_intent_open_until_its_row_appears() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers, world.row_lag_ms = ["lost_answer"], 60_000
    guard = a_guard(world, journal)
    await cycles(guard, world, 25)
    assert states(journal) == [State.UNKNOWN]
    await cycles(guard, world, 10)
    assert states(journal) == [State.CONFIRMED]


async def test_a_list_that_was_asked_for_before_the_window_was_over_proves_nothing_absent() -> None:
    """A list that a cycle went on without is taken by a later one, up to ten seconds after it came."""
    world, journal = a_world("0.77"), MemoryJournal()
    before: list[LoanBook] = []

    class LateList(ModelLoans):
        async def loans(self, hear: Hear | None = None) -> LoanBook:
            book = await super().loans(hear)
            return before[0] if before else book

    guard = a_guard(world, journal, kinds=Kinds(loans=LateList))
    world.answers, world.row_lag_ms = ["late:4900"], 60_000
    await guard.cycle()
    before.append(await ModelLoans(world).loans())
    world.advance(8_000)
    await cycles(guard, world, 4)
    assert states(journal) == [State.UNKNOWN]
    before.clear()
    await cycles(guard, world, 30)
    assert (states(journal), len(world.applied)) == ([State.CONFIRMED], 1)


async def test_a_row_that_turns_up_after_an_intent_was_given_up_confirms_it_loudly() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    world.answers, world.row_lag_ms = ["lost_answer"], 40_000
    guard = a_guard(world, journal)
    await guard.cycle()
    world.row_lag_ms = 0
    world.liquidate_part(ONE, Decimal("0.02"))
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 60)
    late = [event for event in events if event["event"] == "adjustment_confirmed" and event["late"]]
    assert [event["log_level"] for event in late] == ["critical"]
    assert State.ABSENT not in states(journal)


async def test_the_journal_is_read_beside_the_loans_but_not_while_something_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An intent may end while the loans are read: what the journal said of it before would count as new."""
    said: list[str] = []
    read, stand = ModelLoans.loans, MemoryJournal.standing

    async def loans(self: ModelLoans, hear: Hear | None = None) -> LoanBook:
        found = await read(self, hear)
        for _ in range(5):
            await asyncio.sleep(0)
        said.append("loans")
        return found

    async def standing(self: MemoryJournal, owner: Owner) -> Standing:
        said.append("journal")
        return await stand(self, owner)

    monkeypatch.setattr(ModelLoans, "loans", loans)
    monkeypatch.setattr(MemoryJournal, "standing", standing)
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = ["lost_answer"]
    await guard.cycle()
    assert (said[:2], states(journal)) == (["journal", "loans"], [State.UNKNOWN])
    said.clear()
    await guard.cycle()
    assert said[:2] == ["loans", "journal"]


async def test_a_journal_that_fails_beside_loans_that_fail_is_heard_of_once_they_come() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    guard = a_guard(world, journal)
    await guard.cycle()
    world.orders_down = True
    journal.standing = AsyncMock(side_effect=JournalUnavailable("full"))  # type: ignore[method-assign]
    with pytest.raises(JournalUnavailable):
        await guard.cycle()


async def test_a_release_that_waits_for_its_maximum_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unread(_self: ModelLoans, _loan: Loan, _coin: str) -> Decimal:
        raise ExchangeUnavailable("the maximum is down")

    monkeypatch.setattr(ModelLoans, "max_reduction", unread)
    world = a_world("0.30")
    with structlog.testing.capture_logs() as events:
        await cycles(a_guard(world, MemoryJournal()), world, 400)
    told = [item["why"] for item in events if item["event"] == "adjustment_put_off"]
    assert (told, world.sent) == (["the maximum is down"], [])
