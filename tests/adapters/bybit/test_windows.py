"""Who may leave, and when, where more want to than may: in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from ltv_guard.adapters.bybit import RequestLimits
from ltv_guard.adapters.bybit.address_budget import AddressBudget
from ltv_guard.adapters.bybit.turns import NoRoom, Turns
from ltv_guard.adapters.bybit.windows import DECISION, Priority, Window

Now = Callable[[], float]
Run = Callable[[Callable[[Now], Coroutine[Any, Any, list[Any]]]], list[Any]]
ORDERS, ADJUST = "/v5/crypto-loan/ongoing-orders", "/v5/crypto-loan/adjust-ltv"
WRITE, URGENT, ORDINARY = Priority.WRITE, Priority.URGENT, Priority.ORDINARY


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(1 for other in times if start <= other < start + seconds) for start in times)


def turns_of(account: str, address: AddressBudget, now: Now) -> Turns:
    limits = RequestLimits(monotonic=now)
    return Turns(account, limits, address, lambda: int(now() * 1000))


def test_reads_of_a_second_leave_together_and_then_the_next_second(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        turns, began, times = turns_of("a", AddressBudget(monotonic=now), now), now(), []
        for _ in range(12):
            async with turns.to_read(ORDERS, urgent=False):
                times.append(round(now() - began, 2))
        return times

    assert run_virtually(main) == [0.0] * 5 + [1.01] * 5 + [2.02] * 2


@pytest.mark.parametrize(("answers_after_s", "next_s"), [(0.05, 1.06), (0.2, 1.21), (3.0, 1.26)])
def test_a_read_counts_from_its_answer_or_a_quarter_of_a_second_on(
    run_virtually: Run, answers_after_s: float, next_s: float
) -> None:
    """Whatever delays five that leave together, the exchange has counted them by then."""

    async def main(now: Now) -> list[float]:
        turns, began, times = turns_of("a", AddressBudget(monotonic=now), now), now(), []

        async def read() -> None:
            async with turns.to_read(ORDERS, urgent=False):
                times.append(round(now() - began, 2))
                await asyncio.sleep(answers_after_s)

        await asyncio.gather(*(read() for _ in range(5)), after(answers_after_s, read))
        return times

    async def after(seconds: float, read: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(min(seconds + 0.01, 0.3))
        await read()

    assert run_virtually(main) == [0.0] * 5 + [next_s]


def test_near_a_trigger_a_loan_by_its_id_need_not_wait_for_the_list(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        turns = turns_of("a", AddressBudget(monotonic=now), now)
        turns.keep_ready(int(now() * 1000) + 60_000)
        waited: list[float] = []

        async def listing() -> None:
            for _ in range(30):
                async with turns.to_read(ORDERS, urgent=False):
                    await asyncio.sleep(0.05)

        reading = asyncio.create_task(listing())
        for pause in (0.3, 1.4, 1.9, 2.2):
            await asyncio.sleep(pause)
            asked = now()
            async with turns.to_read(ORDERS, urgent=True):
                waited.append(now() - asked)
        await reading
        return waited

    assert max(run_virtually(main)) < 0.001


def test_an_account_near_a_trigger_is_read_before_others_that_waited_longer(run_virtually: Run) -> None:
    async def main(now: Now) -> list[str]:
        address, order = AddressBudget(20, monotonic=now), []
        calm, near = turns_of("calm", address, now), turns_of("near", address, now)
        near.keep_ready(int(now() * 1000) + 60_000)

        async def read(turns: Turns, path: str, name: str) -> None:
            async with turns.to_read(path, urgent=False):
                order.append(name)

        many = [asyncio.create_task(read(calm, f"/{number}", "calm")) for number in range(40)]
        await asyncio.sleep(0.1)
        before = len(order)
        await read(near, ORDERS, "near")
        await asyncio.gather(*many)
        return order[before : before + 2]

    assert run_virtually(main)[0] == "near"


def test_what_is_urgent_goes_before_what_has_waited_longer(run_virtually: Run) -> None:
    async def main(now: Now) -> list[str]:
        window, order = Window(1, 1.0, monotonic=now), []

        async def one(name: str, priority: Priority, at_s: float) -> None:
            await asyncio.sleep(at_s)
            await window.enter(priority)
            order.append(name)
            window.leave()

        await asyncio.gather(
            one("first", ORDINARY, 0),
            one("read", ORDINARY, 0.1),
            one("read again", ORDINARY, 0.2),
            one("urgent", URGENT, 0.3),
            one("write", WRITE, 0.4),
        )
        return order

    assert run_virtually(main) == ["first", "write", "urgent", "read", "read again"]


@pytest.mark.parametrize(
    ("each", "expected"),
    [(3, "aaabbbccc"), (DECISION + 1, "a" * DECISION + "b" * DECISION + "c" * DECISION + "abc")],
)
def test_what_one_account_s_decision_needs_urgently_goes_together_and_what_is_beyond_it_after_the_others(
    run_virtually: Run, each: int, expected: str
) -> None:
    async def main(now: Now) -> list[str]:
        window, order = Window(1, 1.0, monotonic=now), []
        await window.enter(ORDINARY)
        window.leave()

        async def decide(account: str) -> None:
            for _ in range(each):
                await window.enter(URGENT, account)
                order.append(account)
                window.leave()

        await asyncio.gather(*(decide(account) for account in "abc"))
        return order

    assert "".join(run_virtually(main)) == expected


def test_one_that_nobody_knows_to_be_in_need_is_read_though_others_are_looked_at_all_the_time(
    run_virtually: Run,
) -> None:
    async def main(now: Now) -> list[float]:
        address = AddressBudget(20, monotonic=now)
        near = [turns_of(f"near {number}", address, now) for number in range(30)]
        for turns in near:
            turns.keep_ready(int(now() * 1000) + 600_000)

        async def looking(turns: Turns) -> None:
            while True:
                async with turns.to_read(ORDERS, urgent=False):
                    await asyncio.sleep(0.05)

        looks = [asyncio.create_task(looking(turns)) for turns in near]
        await asyncio.sleep(20)
        began = now()
        async with asyncio.timeout(100), turns_of("calm", address, now).to_read(ORDERS, urgent=False):
            waited = now() - began
        for task in looks:
            task.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        return [waited]

    assert run_virtually(main)[0] < 20  # 30 looks at 3.6 a second, twice


def test_what_a_decision_needs_goes_before_the_looks_at_those_that_were_helped(run_virtually: Run) -> None:
    async def main(now: Now) -> list[str]:
        address, order = AddressBudget(20, monotonic=now), []
        helped, needy = turns_of("helped", address, now), turns_of("needy", address, now)
        for turns in (helped, needy):
            turns.keep_ready(int(now() * 1000) + 60_000)

        async def read(turns: Turns, path: str, name: str, *, urgent: bool) -> None:
            async with turns.to_read(path, urgent=urgent):
                order.append(name)

        looks = [
            asyncio.create_task(read(turns, f"/{number}", "look", urgent=False))
            for number in range(40)
            for turns in (helped, needy)
        ]
        await asyncio.sleep(0.1)
        before = len(order)
        await read(needy, "/wallet", "wallet", urgent=True)
        await needy.until_write(ADJUST)
        then = len(order)
        await read(needy, ORDERS, "loans after the turn", urgent=False)
        await asyncio.gather(*looks)
        return [order[before], order[then]]

    assert run_virtually(main) == ["wallet", "loans after the turn"]


def test_an_account_with_many_requests_does_not_starve_one_with_few(run_virtually: Run) -> None:
    async def main(now: Now) -> list[str]:
        budget, order = AddressBudget(10, monotonic=now), []

        async def one(account: str) -> None:
            await budget.enter(ORDINARY, account)
            order.append(account)
            budget.leave()

        many = [asyncio.create_task(one("many")) for _ in range(60)]
        await asyncio.sleep(0.1)
        await asyncio.gather(one("few"), one("few"))
        at = len(order)
        await asyncio.gather(*many)
        return [at]

    assert run_virtually(main)[0] < 30


def test_no_five_seconds_ever_hold_more_than_the_budget_however_long_answers_take(
    run_virtually: Run,
) -> None:
    """A request is counted by the exchange at any moment between its leaving and its answer."""

    async def main(now: Now) -> list[float]:
        budget, chance, counted = AddressBudget(50, monotonic=now), random.Random(3), []

        async def one(number: int) -> None:
            await asyncio.sleep(chance.uniform(0, 10))
            if number % 7 == 0:
                await budget.reserve(str(number % 13))
                await asyncio.sleep(chance.choice((0, 0.2, 4.9, 7)))
                if chance.random() < 0.2 or not budget.uses_reserved():
                    return
            elif number % 11 == 0:
                if not budget.enters_now():
                    return
            else:
                await budget.enter(chance.choice((URGENT, ORDINARY)), str(number % 13))
            way_s = chance.choice((0, 0.02, 0.3, 2.5))
            await asyncio.sleep(way_s)
            counted.append(now())
            await asyncio.sleep(chance.uniform(0, 0.5))
            budget.leave()

        await asyncio.gather(*(one(number) for number in range(600)))
        return counted

    times = run_virtually(main)
    assert len(times) > 400
    assert most_within(times, 5.0) <= 50


def test_reads_leave_room_for_writes_and_for_the_clock(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        budget = AddressBudget(100, monotonic=now)
        reads = [asyncio.create_task(budget.enter(ORDINARY, "a")) for _ in range(200)]
        await asyncio.sleep(0.1)
        urgent = [asyncio.create_task(budget.enter(URGENT, "b")) for _ in range(20)]
        await asyncio.sleep(0.1)
        let_in = [sum(task.done() for task in tasks) for tasks in (reads, urgent)]
        began = now()
        await budget.reserve("c")
        waited, clock = now() - began, budget.enters_now()
        for task in (*reads, *urgent):
            task.cancel()
        await asyncio.gather(*reads, *urgent, return_exceptions=True)
        return [*let_in, waited, clock]

    reads, urgent, waited, clock = run_virtually(main)
    assert (reads, urgent) == (90, 5)
    assert waited < 0.001
    assert clock


def test_a_signed_write_leaves_in_the_place_reserved_for_it_or_not_at_all(run_virtually: Run) -> None:
    async def main(now: Now) -> list[str]:
        budget, seen = AddressBudget(2, monotonic=now), []
        turns = turns_of("a", budget, now)

        def write() -> str:
            try:
                with turns.writing(ADJUST):
                    return "sent"
            except NoRoom:
                return "no room"

        await turns.to_write(ADJUST)
        await budget.enter(WRITE, "b")
        seen += [write(), write()]
        await asyncio.sleep(5.1)
        await turns.to_write(ADJUST)
        await asyncio.sleep(5.1)  # its place is free again, and nobody else took it
        seen.append(write())
        return seen

    assert run_virtually(main) == ["sent", "no room", "sent"]


async def cancelled(wait: Awaitable[None]) -> None:
    task = asyncio.ensure_future(wait)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_one_that_gives_up_waiting_holds_up_nobody(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        window = Window(1, 1.0, monotonic=now)
        await window.enter(ORDINARY)
        await cancelled(window.enter(WRITE))
        later = asyncio.create_task(window.enter(ORDINARY))
        await cancelled(window.enter(WRITE))
        began = now()
        window.leave()
        await later
        return [now() - began]

    assert run_virtually(main)[0] == pytest.approx(1.0, abs=1e-3)


def test_room_is_what_may_leave_at_once(run_virtually: Run) -> None:
    async def main(now: Now) -> list[int]:
        window, rooms = Window(3, 1.0, monotonic=now), []
        await window.enter(ORDINARY)
        await window.enter(ORDINARY)
        rooms.append(window.room)
        window.leave()
        rooms.append(window.room)
        await asyncio.sleep(1.0)
        rooms.append(window.room)
        window.hold(1.0)
        return [*rooms, window.room]

    assert run_virtually(main) == [1, 1, 2, 0]


def test_waiting_for_a_writes_turn_takes_none(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        turns = turns_of("a", AddressBudget(monotonic=now), now)
        began, times = now(), []
        for _ in range(2):
            waited = [await turns.until_write(ADJUST) for _ in range(2)]
            times += [*waited, round(now() - began, 2)]
            await turns.to_write(ADJUST)
            times.append(round(now() - began, 2))
        return times

    assert run_virtually(main) == [False, False, 0.0, 0.0, True, False, 1.05, 1.1]


@pytest.mark.parametrize(("answer_s", "next_s"), [(0.03, 1.04), (0.5, 1.1)])
def test_a_write_counts_from_its_answer_and_from_a_little_after_it_left_where_that_is_late(
    run_virtually: Run, answer_s: float, next_s: float
) -> None:
    async def main(now: Now) -> list[float]:
        turns, began = turns_of("a", AddressBudget(monotonic=now), now), now()
        await turns.to_write(ADJUST)
        with turns.writing(ADJUST):
            await asyncio.sleep(answer_s)
        await turns.to_write(ADJUST)
        return [round(now() - began, 3)]

    assert run_virtually(main) == [next_s]


def test_once_some_are_answered_a_write_counts_from_when_it_left(run_virtually: Run) -> None:
    """By as much as its answer takes longer than theirs, it may have been counted later."""

    async def main(now: Now) -> list[float]:
        turns, times = turns_of("a", AddressBudget(monotonic=now), now), []
        for answer_s in (0.06, 0.06, 0.06, 0.08, 0.06):
            await turns.to_write(ADJUST)
            times.append(now())
            with turns.writing(ADJUST):
                await asyncio.sleep(answer_s)
        return [round(later - sooner, 2) for sooner, later in pairwise(times)]

    assert run_virtually(main) == [1.07, 1.07, 1.01, 1.03]


def test_when_its_answer_was_made_tells_how_late_a_write_was_counted(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        turns, times = turns_of("a", AddressBudget(monotonic=now), now), []
        for there_s, back_s in [(0.03, 0.03)] * 3 + [(0.03, 0.09), (0.09, 0.03), (0.03, 0.03)]:
            await turns.to_write(ADJUST)
            times.append(now())
            with turns.writing(ADJUST) as write:
                await asyncio.sleep(there_s)
                write.made_at_ms = int(now() * 1000) + 1_790_000_000_000
                await asyncio.sleep(back_s)
        return [round(later - sooner, 2) for sooner, later in pairwise(times)]

    assert run_virtually(main) == [1.07, 1.07, 1.01, 1.01, 1.07]


@pytest.mark.parametrize(("answer_s", "next_s"), [(0.05, 1.36), (2.0, 1.4)], ids=["quick", "slow"])
@pytest.mark.parametrize("known", [0, 6])
def test_a_write_that_took_long_to_be_written_down_counts_from_when_it_leaves(
    run_virtually: Run, answer_s: float, next_s: float, known: int
) -> None:
    """A disk stood still after its turn had come: what follows must not come closer to it for that."""

    async def main(now: Now) -> list[float]:
        turns = turns_of("a", AddressBudget(monotonic=now), now)

        async def write(answer_s: float, stalls_s: float = 0.0) -> float:
            await turns.to_write(ADJUST)
            began = now()
            await asyncio.sleep(stalls_s)
            with turns.writing(ADJUST) as on_its_way:
                on_its_way.made_at_ms = int(now() * 1000)
                await asyncio.sleep(answer_s)
            return began

        for _ in range(known):
            await write(0.05)
        writing = asyncio.create_task(write(answer_s, 0.3))
        await asyncio.sleep(1.03)  # it has had its turn
        next_began = await write(0.05)
        return [round(next_began - await writing, 2)]

    assert run_virtually(main) == [1.3 if known and answer_s < 1 else next_s]


@pytest.mark.parametrize("stalls_s", [0.3, 1.5])
def test_one_that_stood_still_is_not_forgotten_as_it_leaves(run_virtually: Run, stalls_s: float) -> None:
    async def main(now: Now) -> list[float]:
        turns = turns_of("a", AddressBudget(monotonic=now), now)
        await turns.to_write(ADJUST)
        await asyncio.sleep(stalls_s)
        left = now()
        with turns.writing(ADJUST):
            pass
        await turns.to_write(ADJUST)
        return [round(now() - left, 2)]

    assert run_virtually(main) == [1.01]


def test_a_write_that_no_answer_came_to_counts_from_a_little_after_it_left(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        turns, began = turns_of("a", AddressBudget(monotonic=now), now), now()
        await turns.to_write(ADJUST)
        with contextlib.suppress(ConnectionError), turns.writing(ADJUST):
            raise ConnectionError
        await turns.to_write(ADJUST)
        return [round(now() - began, 3)]

    assert run_virtually(main) == [1.1]


def test_an_answer_that_comes_after_the_next_write_tells_nothing_of_that_one(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        turns, began = turns_of("a", AddressBudget(monotonic=now), now), now()
        await turns.to_write(ADJUST)
        with turns.writing(ADJUST):
            await turns.to_write(ADJUST)
        await turns.to_write(ADJUST)
        return [round(now() - began, 3)]

    assert run_virtually(main) == [2.2]


def test_a_writes_turn_waits_for_the_address_too(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        address = AddressBudget(monotonic=now)
        turns, began = turns_of("a", address, now), now()
        address.refuse({}, 0)
        return [await turns.until_write(ADJUST), round(now() - began, 2), await turns.until_write(ADJUST)]

    assert run_virtually(main) == [True, 5.0, False]


def test_a_budget_that_is_lowered_while_many_wait_is_kept_and_holds_up_nobody(run_virtually: Run) -> None:
    """What they were to leave to others, of 480, is more than all of 40."""

    async def main(now: Now) -> list[float]:
        address, began, times = AddressBudget(480, monotonic=now), now(), []

        async def read() -> None:
            await address.enter(ORDINARY, "a")
            times.append(now() - began)
            address.leave()

        reads = [asyncio.create_task(read()) for _ in range(550)]
        await asyncio.sleep(1)
        address.per_5s = 40
        await asyncio.gather(*reads)
        return times

    times = run_virtually(main)
    later = [at for at in times if at > 1]
    assert len(times) == 550
    assert len(later) == 118
    assert most_within(later, 4.99) <= 40
    assert later[-1] < 25


def test_one_that_is_to_leave_more_room_than_there_is_goes_in_alone(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        window, began = Window(2, 1.0, monotonic=now), now()
        await window.enter(ORDINARY, kept=5)
        window.leave()
        await window.enter(ORDINARY, kept=5)
        return [now() - began]

    assert run_virtually(main)[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("answers_after_s", "next_s"), [(0.05, 1.06), (0.2, 1.21), (3.0, 1.26)])
def test_one_that_waits_already_leaves_as_early_as_one_that_comes_after_the_answer(
    run_virtually: Run, answers_after_s: float, next_s: float
) -> None:
    async def main(now: Now) -> list[float]:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await asyncio.sleep(seconds)

        limits = RequestLimits(monotonic=now, sleep=sleep)
        turns = Turns("a", limits, AddressBudget(monotonic=now), lambda: int(now() * 1000))
        began, times = now(), []

        async def read() -> None:
            async with turns.to_read(ORDERS, urgent=False):
                times.append(round(now() - began, 2))
                await asyncio.sleep(answers_after_s)

        await asyncio.gather(*(read() for _ in range(6)))
        assert len(slept) <= 3
        return times

    assert run_virtually(main) == [0.0] * 5 + [next_s]


async def apart_s(turns: Turns, now: Now) -> float:
    """From one write, which is answered after 50 ms, to the next."""
    await turns.to_write(ADJUST)
    began = now()
    with turns.writing(ADJUST):
        await asyncio.sleep(0.05)
    await turns.to_write(ADJUST)
    return round(now() - began, 2)


def test_a_read_that_was_given_up_tells_nothing_of_the_way(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        turns = turns_of("a", AddressBudget(monotonic=now), now)

        async def read() -> None:
            async with turns.to_read(ORDERS, urgent=False):
                await asyncio.sleep(0.05)

        await read()
        given_up = asyncio.create_task(read())
        await asyncio.sleep(0.001)
        given_up.cancel()
        return [await apart_s(turns, now)]

    assert run_virtually(main) == [1.02]


@pytest.mark.parametrize(("reads", "next_s"), [(0, 1.06), (1, 1.02)])
def test_a_second_write_follows_as_soon_as_a_read_has_told_how_long_the_way_is(
    run_virtually: Run, reads: int, next_s: float
) -> None:
    async def main(now: Now) -> list[float]:
        turns = turns_of("a", AddressBudget(monotonic=now), now)
        for _ in range(reads):
            async with turns.to_read(ORDERS, urgent=False):
                await asyncio.sleep(0.05)
        return [await apart_s(turns, now)]

    assert run_virtually(main) == [next_s]


def test_there_is_room_for_a_decision_while_some_is_left_for_what_is_more_pressing() -> None:
    address = AddressBudget(100, monotonic=lambda: 0.0)
    for _ in range(100 - 10 - 8):
        assert address.has_room
        assert address.enters_now()
    assert address.has_room
    assert address.enters_now()
    assert not address.has_room
    assert address.room > 0
