"""When an account is looked at next: at its own pace, on the loop's clock; no account waits for another."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from waits import until

from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.service.paces import Paces, SettleRounds

BUSY = CycleResult(busy=True)
NEVER_S = 3600.0


async def test_each_is_due_at_its_own_pace_until_it_is_dropped() -> None:
    due: Counter[str] = Counter()
    paces = Paces(lambda name: due.update([name]))
    paces.begin("fast", 0.001, after_s=0)
    paces.begin("slow", NEVER_S, after_s=0)
    await until(lambda: due["fast"] > 3)
    assert due["slow"] == 1
    paces.drop(["fast", "slow", "of another worker"])
    seen = due.total()
    await asyncio.sleep(0.01)
    assert due.total() == seen


async def test_another_pace_holds_for_who_is_there_and_begins_nobody() -> None:
    due: Counter[str] = Counter()
    paces = Paces(lambda name: due.update([name]))
    paces.begin("one", NEVER_S, after_s=NEVER_S)
    paces.change("one", 0.001, after_s=0)
    paces.change("two", 0.001, after_s=0)
    await until(lambda: due["one"] > 1)
    assert due.keys() == {"one"}
    paces.drop(["one"])


async def test_all_are_due_at_once_after_the_machine_was_suspended() -> None:
    due: Counter[str] = Counter()
    paces = Paces(lambda name: due.update([name]))
    for name in ("one", "two"):
        paces.begin(name, NEVER_S, after_s=NEVER_S)
    paces.all_now()
    await until(lambda: due == {"one": 1, "two": 1})
    paces.drop(["one", "two"])


async def test_what_is_not_settled_is_looked_at_again_and_again_and_nothing_else() -> None:
    results = {"open": BUSY, "quiet": CycleResult()}
    started: Counter[str] = Counter()
    rounds = SettleRounds(results, lambda name: started.update([name]))
    rounds.begin(0.001)
    await until(lambda: started["open"] > 3)
    assert started["quiet"] == 0
    results["open"] = replace(BUSY, busy=False)
    await asyncio.sleep(0.01)
    seen = started["open"]
    await asyncio.sleep(0.01)
    assert started["open"] == seen
    rounds.end()


async def test_who_is_let_go_before_its_turn_in_the_round_is_looked_at_no_more() -> None:
    results = {"first": BUSY, "second": BUSY}
    started: list[str] = []

    def start(name: str) -> None:
        started.append(name)
        results.clear()

    rounds = SettleRounds(results, start)
    rounds.begin(0.03)
    await until(lambda: bool(started))
    await asyncio.sleep(0.05)
    assert started == ["first"]
    rounds.end()
