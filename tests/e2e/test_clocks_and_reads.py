"""Clocks that disagree, and reads that fail or lie, around an adjustment."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from e2e_world import (
    A_POOL,
    AN_ORDER,
    BOTH_PRODUCTS,
    DIRECTIONS,
    NEEDY,
    PRODUCTS,
    SECOND_ORDER,
    Product,
    also_an_order,
    crossed,
    scenario_of,
    with_quiet_orders,
)

if TYPE_CHECKING:
    from conftest import OpenWorld, Timings

OFFSETS = [3_000, -3_000, 90_000, -90_000]

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.mark.parametrize(
    ("product", "direction", "offset_ms"),
    crossed(PRODUCTS, DIRECTIONS, OFFSETS, stays=lambda *case: case == (AN_ORDER, "add", 90_000)),
)
async def test_an_exchange_whose_clock_differs_is_dealt_with(
    open_a_world: OpenWorld, product: Product, direction: str, offset_ms: int
) -> None:
    scenario = scenario_of(NEEDY[direction], product, clock_offset_ms=offset_ms)
    async with open_a_world(scenario) as world, world.guarded():
        await world.until_settled_at_target(direction)
        assert await world.ends() == ["confirmed"]


@pytest.mark.parametrize(
    ("product", "direction", "offset_ms"),
    crossed(PRODUCTS, DIRECTIONS, OFFSETS, stays=lambda *case: case == (A_POOL, "add", -3_000)),
)
async def test_a_clock_that_is_set_while_running_costs_no_adjustment_and_makes_none_twice(
    open_a_world: OpenWorld, product: Product, direction: str, offset_ms: int
) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 2)
        world.exchange.set_clock(offset_ms)
        world.price(NEEDY[direction])
        await world.until_settled_at_target(direction)
        assert await world.ends() == ["confirmed"]  # beside what was refused for its timestamp


class LostAndSet(NamedTuple):
    lost: str
    offset_ms: int

    def __str__(self) -> str:
        return f"{self.lost}, {self.offset_ms} ms"


LOST_AND_SET = [
    LostAndSet("close_before", 90_000),
    LostAndSet("close_before", -3_000),  # its window ends three seconds later, and is waited for
    LostAndSet("close_after", 90_000),
    LostAndSet("close_after", -90_000),
]


@pytest.mark.parametrize(
    ("product", "direction", "lost_and_set"),
    crossed(PRODUCTS, DIRECTIONS, LOST_AND_SET, stays=lambda *_: False),
)
async def test_a_clock_that_is_set_while_an_answer_is_lost_changes_nothing(
    open_a_world: OpenWorld, product: Product, direction: str, lost_and_set: LostAndSet
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault(lost_and_set.lost, endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            world.exchange.set_clock(lost_and_set.offset_ms)
            await world.until_settled_at_target(direction)
        assert len((await world.judge())["confirmed"]) == 1


@pytest.mark.parametrize(
    ("product", "direction", "after"),
    crossed(PRODUCTS, DIRECTIONS, [0, 1, 2], stays=lambda *case: case == (AN_ORDER, "add", 1)),
)
async def test_one_wild_time_does_not_move_the_clock(
    open_a_world: OpenWorld, product: Product, direction: str, after: int
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault("wild_time", endpoint="time", offset_ms=7_200_000, after=after)
        async with world.guarded():
            await world.until_settled_at_target(direction)
        assert await world.ends() == ["confirmed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What becomes of some reads. `loans` is the product's list, `ltv` and `collateral` are its fields."""

    name: str
    fault: dict[str, Any]
    stays: Product | None = None

    def __str__(self) -> str:
        return self.name

    def of(self, product: Product) -> dict[str, Any]:
        named = {"loans": product.loans, "ltv": product.ltv_field, "collateral": product.collateral_field}
        return {key: named.get(str(value), value) for key, value in self.fault.items()}


def reading(
    name: str, kind: str, endpoint: str, stays: Product | None = None, **parameters: object
) -> Reading:
    return Reading(name=name, fault={"kind": kind, "endpoint": endpoint, **parameters}, stays=stays)


READS = [
    reading("history 504", "http_error", "history", status=504),
    reading("history garbled", "not_json", "history"),
    reading("history in circles", "cursor_loop", "history", A_POOL),
    reading("history without end", "cursor_loop", "history", value="endless"),
    reading("history hung", "hang_before", "history", seconds=1),
    reading("history limited", "ret_code", "history", code=10006, applied=False),
    reading("loans 502", "http_error", "loans", AN_ORDER),
    reading("loans empty", "empty_body", "loans"),
    reading("loans limited", "http_error", "loans", status=429),
    reading("loans clockless", "ret_code", "loans", code=10002, applied=False),
    reading("wallet 500", "http_error", "wallet", status=500),
    reading("prices 500", "http_error", "tickers", status=500),
    reading("terms 500", "http_error", "terms", status=500),
    reading("an LTV of nonsense", "nonsense", "loans", field="ltv", value="12"),
    reading("no LTV", "nonsense", "loans", field="ltv", remove=True),
    reading("not a number", "nonsense", "loans", A_POOL, field="collateral", value="NaN"),
    reading("everything slow", "slow", "*", seconds="0.3"),
    reading("everything closed", "close_before", "*"),
    reading("a ban on a read", "http_error", "loans", AN_ORDER, status=403, seconds=1, times=1),
]


@pytest.mark.parametrize(
    ("product", "direction", "read"),
    crossed(
        PRODUCTS,
        DIRECTIONS,
        READS,
        stays=lambda product, direction, read: direction == "add" and read.stays is product,
    ),
)
async def test_reads_that_fail_while_an_answer_is_lost_only_cost_time(
    open_a_world: OpenWorld, product: Product, direction: str, read: Reading
) -> None:
    async with open_a_world() as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) > 1)
            world.fault("close_after", endpoint="adjust")
            world.fault(**{"times": 6, **read.of(product)})
            world.price(NEEDY[direction])
            await world.until_settled_at_target(direction)
        assert await world.ends() == ["confirmed"]
        assert world.exchange.limits.violations["during_ban"] == 0


def two_pages() -> dict[str, Any]:
    """The newest come first: of 102 orders 3001 is the first of the first page, 1001 stands on the second."""
    scenario = with_quiet_orders(scenario_of(limits={"reads_per_s": 1000}), 100)
    orders = scenario["users"]["1"]["orders"]
    orders.append({**orders[0], "order_id": "3001"})
    return scenario


@pytest.mark.slow
@pytest.mark.case(44)
async def test_a_list_whose_cursor_repeats_blinds_neither_its_first_page_nor_what_is_known_of_others(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(two_pages()) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("cycle_finished")))
            world.fault("cursor_loop", endpoint="orders", times=None)
            world.price(39_000)
            await world.until(lambda: max(world.ltv("1001"), world.ltv("3001")) < Decimal("0.66"))
            await world.until(lambda: len(world.heard("adjustment_confirmed")) == 2)
            world.exchange.clear_faults()
            await world.until(lambda: bool(world.heard("read_works_again")))
        assert [len(world.effects(name)) for name in ("1001", "3001")] == [1, 1]
        assert len(world.heard("read_failed")) == 1
        assert world.heard("guard_blind") == []


@pytest.mark.slow
@pytest.mark.case(44)
async def test_after_a_restart_what_the_journal_tells_of_is_guarded_though_its_page_fails(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(two_pages()) as world:
        world.price(39_000)
        async with world.guarded():
            await world.until(lambda: len(world.heard("adjustment_confirmed")) == 2)
        world.fault("cursor_loop", endpoint="orders", times=None)
        world.price(32_000)
        async with world.guarded():
            await world.until(lambda: max(world.ltv("1001"), world.ltv("3001")) < Decimal("0.66"))
            await world.until(lambda: len(world.heard("adjustment_confirmed")) == 4)
            await world.until(lambda: bool(world.heard("guard_blind")))
            world.exchange.clear_faults()
            await world.until(lambda: bool(world.heard("guard_recovered")))
        await world.judge()
        assert [len(world.effects(name)) for name in ("1001", "3001")] == [2, 2]
        assert world.heard("guard_blind")[0]["loan_ids"] == []


@pytest.mark.parametrize(("product", "direction"), crossed(PRODUCTS, DIRECTIONS, stays=lambda *_: False))
async def test_a_row_that_is_later_than_expected_is_waited_for_where_the_collateral_shows_it(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault("close_after", endpoint="adjust")
        world.fault("history_lag", endpoint="adjust", seconds=4)
        async with world.guarded():
            await world.until_settled_at_target(direction)
        assert await world.ends() == ["confirmed"]


@pytest.mark.parametrize(
    ("product", "direction"), crossed(PRODUCTS, DIRECTIONS, stays=lambda *case: case == (AN_ORDER, "add"))
)
async def test_what_lands_at_the_last_moment_and_shows_late_is_found_at_the_second_look(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    config = {"settlement": {"history_lag_s": 1}}
    async with open_a_world(scenario_of(NEEDY[direction], product), config=config) as world:
        world.fault("apply_late", endpoint="adjust", delay_s="0.9")
        world.fault("history_lag", endpoint="adjust", seconds="0.8")
        world.fault("stale_reads", endpoint=product.loans, seconds="0.8", times=None)
        async with world.guarded():
            await world.until_settled_at_target(direction)
        assert await world.ends() == ["confirmed"]


@pytest.mark.slow
async def test_a_ban_is_kept_over_a_restart(open_a_world: OpenWorld, timings: Timings) -> None:
    timings.change(ban_ms=4_000)
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


@pytest.mark.parametrize("product", crossed(PRODUCTS, stays=lambda product: product is A_POOL))
async def test_one_loan_whose_data_is_nonsense_does_not_keep_another_from_being_protected(
    open_a_world: OpenWorld, product: Product
) -> None:
    scenario = also_an_order(scenario_of(NEEDY["add"], product))
    async with open_a_world(scenario, config=BOTH_PRODUCTS if product is A_POOL else None) as world:
        world.fault(
            "nonsense",
            endpoint=product.loans,
            loan_id=product.loan_id,
            field="collateralList" if product is A_POOL else "collateralAmount",
            value="NaN",
            times=None,
        )
        async with world.guarded():
            await world.until(
                lambda: world.is_at_target(loan_id=SECOND_ORDER) and bool(world.heard("loan_set_aside"))
            )
            assert not world.effects(product.loan_id)
            world.exchange.clear_faults()
            await world.until_settled_at_target()
        await world.judge()


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_blindness_is_told_once_and_so_is_its_end(open_a_world: OpenWorld, product: Product) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.fault("http_error", endpoint=product.loans, times=None)
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("guard_blind")))
        assert not world.exchange.writes
        world.exchange.clear_faults()
        await world.until_settled_at_target()
        assert len(world.heard("guard_blind")) == len(world.heard("guard_recovered")) == 1
        assert world.effects()[0].amount < Decimal("0.22")
        await world.judge()
