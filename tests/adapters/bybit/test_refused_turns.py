"""When the next write leaves after the exchange has refused one for its pace, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from ltv_guard.adapters.bybit import RequestLimits
from ltv_guard.adapters.bybit.address_budget import AddressBudget
from ltv_guard.adapters.bybit.turns import Turns

Now = Callable[[], float]
Run = Callable[[Callable[[Now], Coroutine[Any, Any, list[Any]]]], list[Any]]
ADJUST = "/v5/crypto-loan/adjust-ltv"
TAKES_S = 0.05


@dataclass(slots=True, kw_only=True)
class Exchange:
    """Takes one write a second, counted on arrival; `counts_refused`: also of those that it refuses."""

    now: Now
    counts_refused: bool = False
    tells_reset: bool = True
    counted_s: float = -9.0
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    async def write(self, turns: Turns) -> None:
        await turns.to_write(ADJUST)
        came_s = self.now()
        reset_s = self.counted_s + 1
        is_refused = came_s < reset_s
        (self.refused if is_refused else self.taken).append(came_s)
        if not is_refused or self.counts_refused:
            self.counted_s = came_s
        with turns.writing(ADJUST):
            await asyncio.sleep(TAKES_S)
        if is_refused:
            headers = {"X-Bapi-Limit-Reset-Timestamp": str(int(reset_s * 1000))} if self.tells_reset else {}
            turns.refuse(ADJUST, headers, int(self.now() * 1000), whole_address=False)


def life(
    run_virtually: Run, writes: int, **exchange_is: bool
) -> tuple[list[float], list[float]]:  # of those taken, of those refused
    """Seven writes; then a hand uses the turn of the next one, which is refused; and so many more."""

    async def main(now: Now) -> list[Any]:
        exchange = Exchange(now=now, **exchange_is)
        turns = Turns(
            "a", RequestLimits(monotonic=now), AddressBudget(monotonic=now), lambda: int(now() * 1000)
        )
        for _ in range(7):
            await exchange.write(turns)
        exchange.counted_s += 0.05
        by_hand_s = exchange.counted_s
        for _ in range(1 + writes):
            await exchange.write(turns)
        return [[at - by_hand_s for at in times] for times in (exchange.taken[7:], exchange.refused)]

    taken, refused = run_virtually(main)
    return taken, refused


def test_where_the_reset_is_told_a_refusal_costs_no_turn(run_virtually: Run) -> None:
    taken, refused = life(run_virtually, 3)
    assert len(refused) == 1
    assert taken == pytest.approx([1.05, 2.06, 3.07], abs=0.02)


def test_where_it_is_not_told_a_second_is_waited_for(run_virtually: Run) -> None:
    taken, refused = life(run_virtually, 2, tells_reset=False)
    assert len(refused) == 1
    assert taken[0] == pytest.approx(1.95 + TAKES_S, abs=0.05)


def test_an_exchange_that_counts_what_it_refuses_refuses_two_in_a_row_at_most(run_virtually: Run) -> None:
    taken, refused = life(run_virtually, 3, counts_refused=True)
    assert len(refused) == 2
    assert taken == pytest.approx([2.06, 3.1], abs=0.1)
