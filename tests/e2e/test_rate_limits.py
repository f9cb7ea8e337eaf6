"""Thirty loans in need at once, ten of them with an adjustment that nobody knows the end of."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import LEGACY, TARGETS, USER, World, scenario_of

from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product
from ltv_guard.sandbox.records import Origin
from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld

LOANS, UNKNOWN = 30, 10


def order_id(number: int) -> str:
    return str(1001 + number)


def debt_of(number: int) -> Decimal:
    """Every loan a little safer than the one before: LTVs from 0.798 down."""
    return Decimal("0.798") * 38000 - number * 50


async def leave_unknown(world: World, number: int, *, landed: bool) -> None:
    """What a daemon that was killed in the middle of a send leaves behind, an instant ago."""
    moment = world.exchange.look()
    at_ms = moment.time_ms
    amount = (debt_of(number) / 38000 / TARGETS["add"] - 1).quantize(Decimal("0.0001")) + Decimal("0.00021")
    intent = Intent(
        intent_id=f"left-{number}",
        owner=Owner("testnet", USER),
        account="main",
        key=LoanKey(Product.LEGACY, order_id(number)),
        direction=Direction.ADD,
        coin="BTC",
        amount=amount,
        state=State.PLANNED,
        reason="of an earlier process",
        coins_before=Decimal(1),
        ltv_before=Decimal("0.79"),
        observed_at_ms=at_ms,
        seen_ids=frozenset(),
        created_at_ms=at_ms,
        updated_at_ms=at_ms,
    )
    journal = await open_journal(world.journal_url, writer=True)
    await journal.plan(intent)
    await journal.mark_sent(replace(intent, state=State.SENT, signed_at_ms=at_ms, recv_window_ms=1000))
    await journal.close()
    if landed:
        loan = world.exchange.ledger.loan(USER, LEGACY, order_id(number))
        origin = Origin(signed_at=str(at_ms))
        world.exchange.ledger.adjust(loan, "BTC", "add", amount, moment, origin=origin)


@pytest.mark.slow
async def test_thirty_loans_in_need_are_all_served_within_the_limits_most_urgent_first(
    open_a_world: OpenWorld,
) -> None:
    scenario = scenario_of(Decimal(38000))
    order = scenario["users"][USER]["orders"][0]
    scenario["users"][USER] = {
        "funding": {"BTC": "50"},
        "orders": [
            {**order, "order_id": order_id(number), "debt": str(debt_of(number))} for number in range(LOANS)
        ],
    }
    async with open_a_world(scenario) as world:
        for number in range(UNKNOWN):
            await leave_unknown(world, number * 3, landed=number % 2 == 0)
        left = len(world.effects())
        async with world.guarded():
            orders = [order_id(number) for number in range(LOANS)]
            await world.until(
                lambda: all(world.ltv(order) <= TARGETS["add"] for order in orders), within_s=110
            )
            await world.until_quiet()
        intents = await world.intents()
        ends = {item.intent_id: item.state for item in intents if item.intent_id.startswith("left-")}
        assert ends == {
            f"left-{number * 3}": "confirmed" if number % 2 == 0 else "absent" for number in range(UNKNOWN)
        }
        assert sum(world.exchange.limits.violations.values()) <= 1
        assert all(TARGETS["add"] - world.ltv(order) < Decimal("0.003") for order in orders)
        # Those that waited for nothing were served in the order of their danger.
        waited = {order_id(number * 3) for number in range(UNKNOWN)}
        served = [row.loan_id for row in world.effects()[left:] if row.loan_id not in waited]
        assert served == sorted(served, key=int)
        assert len(served) == LOANS - UNKNOWN


async def test_a_clock_that_takes_long_to_measure_does_not_bring_two_writes_too_close(
    open_a_world: OpenWorld,
) -> None:
    scenario = scenario_of(Decimal(38000))
    order = scenario["users"][USER]["orders"][0]
    scenario["users"][USER]["orders"].append({**order, "order_id": "1002"})
    async with open_a_world(scenario) as world:
        world.fault("slow", endpoint="time", seconds="0.2", times=None)
        assert await app.run_once(world.settings(), asyncio.Event()) == 0
        assert len(world.effects()) == 2
        assert list(await world.judge()) == ["confirmed"]
        assert not sum(world.exchange.limits.violations.values())
