"""Clocks that disagree, and reads that fail or lie, around an adjustment."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import NEEDY, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

OFFSETS = [3_000, -3_000, 90_000, -90_000]
DIRECTIONS = ["add", "reduce"]


pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("offset_ms", OFFSETS)
async def test_an_exchange_whose_clock_differs_is_dealt_with(
    open_a_world: OpenWorld, offset_ms: int, direction: str
) -> None:
    scenario = scenario_of(NEEDY[direction], clock_offset_ms=offset_ms)
    async with open_a_world(scenario) as world, world.guarded():
        await world.until_settled_at_target(direction)
        assert list(await world.judge()) == ["confirmed"]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("offset_ms", OFFSETS)
async def test_a_clock_that_is_set_while_running_costs_no_adjustment_and_makes_none_twice(
    open_a_world: OpenWorld, offset_ms: int, direction: str
) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 2)
        world.exchange.set_clock(offset_ms)
        world.price(NEEDY[direction])
        await world.until_settled_at_target(direction)
        by_state = await world.judge()
        assert len(by_state["confirmed"]) == 1
        assert by_state.keys() <= {"confirmed", "rejected"}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("lost", "offset_ms"),
    [
        ("close_before", 90_000),
        ("close_before", -3_000),  # its window ends three seconds later, and is waited for
        ("close_after", 90_000),
        ("close_after", -90_000),
    ],
)
async def test_a_clock_that_is_set_while_an_answer_is_lost_changes_nothing(
    open_a_world: OpenWorld, lost: str, offset_ms: int, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        world.fault(lost, endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            world.exchange.set_clock(offset_ms)
            await world.until_settled_at_target(direction)
        assert len((await world.judge())["confirmed"]) == 1


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_one_wild_time_does_not_move_the_clock(
    open_a_world: OpenWorld, after: int, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        world.fault("wild_time", endpoint="time", offset_ms=7_200_000, after=after)
        async with world.guarded():
            await world.until_settled_at_target(direction)
        assert list(await world.judge()) == ["confirmed"]


READS: list[tuple[str, dict[str, Any]]] = [
    ("history 504", {"kind": "http_error", "endpoint": "history", "status": 504}),
    ("history garbled", {"kind": "not_json", "endpoint": "history"}),
    ("history in circles", {"kind": "cursor_loop", "endpoint": "history"}),
    ("history without end", {"kind": "cursor_loop", "endpoint": "history", "value": "endless"}),
    ("history hung", {"kind": "hang_before", "endpoint": "history", "seconds": 1}),
    ("history limited", {"kind": "ret_code", "endpoint": "history", "code": 10006, "applied": False}),
    ("orders 502", {"kind": "http_error", "endpoint": "orders"}),
    ("orders empty", {"kind": "empty_body", "endpoint": "orders"}),
    ("orders limited", {"kind": "http_error", "endpoint": "orders", "status": 429}),
    ("orders clockless", {"kind": "ret_code", "endpoint": "orders", "code": 10002, "applied": False}),
    ("wallet 500", {"kind": "http_error", "endpoint": "wallet", "status": 500}),
    ("an LTV of nonsense", {"kind": "nonsense", "endpoint": "orders", "field": "currentLTV", "value": "12"}),
    ("no LTV", {"kind": "nonsense", "endpoint": "orders", "field": "currentLTV", "remove": True}),
    ("not a number", {"kind": "nonsense", "endpoint": "orders", "field": "collateralAmount", "value": "NaN"}),
    ("everything slow", {"kind": "slow", "endpoint": "*", "seconds": "0.3"}),
    ("everything closed", {"kind": "close_before", "endpoint": "*"}),
    (
        "a ban on a read",
        {"kind": "http_error", "endpoint": "orders", "status": 403, "seconds": 1, "times": 1},
    ),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("fault", [item[1] for item in READS], ids=[item[0] for item in READS])
async def test_reads_that_fail_while_an_answer_is_lost_only_cost_time(
    open_a_world: OpenWorld, fault: dict[str, Any], direction: str
) -> None:
    async with open_a_world() as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) > 1)
            world.fault("close_after", endpoint="adjust")
            world.fault(**{"times": 6, **fault})
            world.price(NEEDY[direction])
            await world.until_settled_at_target(direction)
        assert list(await world.judge()) == ["confirmed"]
        assert world.exchange.limits.violations["during_ban"] == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_row_that_is_later_than_expected_is_waited_for_where_the_collateral_shows_it(
    open_a_world: OpenWorld, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        world.fault("close_after", endpoint="adjust")
        world.fault("history_lag", endpoint="adjust", seconds=4)
        async with world.guarded():
            await world.until_settled_at_target(direction)
        assert list(await world.judge()) == ["confirmed"]


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_what_lands_at_the_last_moment_and_shows_late_is_found_at_the_second_look(
    open_a_world: OpenWorld, direction: str
) -> None:
    config = {"settlement": {"history_lag_s": 1}}
    async with open_a_world(scenario_of(NEEDY[direction]), config=config) as world:
        world.fault("apply_late", endpoint="adjust", delay_s="0.9")
        world.fault("history_lag", endpoint="adjust", seconds="0.8")
        world.fault("stale_reads", endpoint="orders", seconds="0.8", times=None)
        async with world.guarded():
            await world.until_settled_at_target(direction)
        assert list(await world.judge()) == ["confirmed"]


async def test_a_ban_is_kept_over_a_restart(open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltv_guard.adapters.bybit.ban.BAN_S", 4.0)
    async with open_a_world() as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) > 1)
            world.fault("http_error", endpoint="orders", status=403, seconds=3)
            await world.until(lambda: bool(world.heard("exchange_banned")))
        asked = sum(world.exchange.requests.values())
        world.price(NEEDY["add"])
        async with world.guarded():
            await world.until(lambda: bool(world.heard("guard_blind")))
            assert sum(world.exchange.requests.values()) == asked
            await world.until_settled_at_target()
        await world.judge()
        assert world.exchange.limits.violations["during_ban"] == 0
        assert len(world.heard("exchange_banned")) == 1


async def test_one_loan_whose_data_is_nonsense_does_not_keep_another_from_being_protected(
    open_a_world: OpenWorld,
) -> None:
    scenario = scenario_of(NEEDY["add"])
    first = scenario["users"]["1"]["orders"][0]
    scenario["users"]["1"]["orders"].append({**first, "order_id": "1002"})
    async with open_a_world(scenario) as world:
        world.fault(
            "nonsense", endpoint="orders", loan_id="1002", field="currentLTV", value="NaN", times=None
        )
        async with world.guarded():
            await world.until(lambda: world.is_at_target() and bool(world.heard("loan_set_aside")))
            assert not world.effects("1002")
            world.exchange.clear_faults()
            await world.until(lambda: world.is_at_target(loan_id="1002"))
            await world.until(world.none_is_open)
        await world.judge()


async def test_blindness_is_told_once_and_so_is_its_end(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.fault("http_error", endpoint="orders", times=None)
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("guard_blind")))
        assert not world.exchange.writes
        world.exchange.clear_faults()
        await world.until_settled_at_target()
        assert len(world.heard("guard_blind")) == len(world.heard("guard_recovered")) == 1
        assert world.effects()[0].amount < Decimal("0.22")
        await world.judge()
