"""What the exchange shows may be old, in part or whole; what somebody else does is news. Over the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import (
    A_POOL,
    AN_ORDER,
    DIRECTIONS,
    NEEDY,
    PRODUCTS,
    TARGETS,
    USER,
    Product,
    crossed,
    scenario_of,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

VARIANTS = ["whole", "old_collateral", "new_collateral_old_ltv", "new_collateral_old_worth"]
LOST = ["close_before", "close_after"]


def never(*_case: object) -> bool:
    """Shown by default for none: another test of this page is."""
    return False


@pytest.mark.parametrize(
    ("product", "direction", "variant", "answer"),
    crossed(
        PRODUCTS,
        DIRECTIONS,
        VARIANTS,
        ["given", "lost"],
        stays=lambda _, *case: case == ("reduce", "new_collateral_old_ltv", "given"),
    ),
)
async def test_loans_shown_as_they_were_are_not_adjusted_a_second_time(
    open_a_world: OpenWorld, product: Product, direction: str, variant: str, answer: str
) -> None:
    """Three seconds old, for ever, though the history is told to be at most 0.3 s late."""
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault("stale_reads", endpoint=product.loans, seconds=3, variant=variant, times=None)
        if answer == "lost":
            world.fault("close_after", endpoint="adjust")
        async with world.guarded():
            await world.until_settled_at_target(direction)
            await world.until(lambda: shows_nothing_to_do(world.events))
        assert [row.direction for row in world.effects()] == [direction]
        assert await world.ends() == ["confirmed"]


def shows_nothing_to_do(events: list[dict[str, object]]) -> bool:
    """Whether the guard has seen the loan as it now is, and is content with it."""
    decided = [event for event in events if event["event"] == "decision_made"]
    return bool(decided) and decided[-1]["cause"] in {"in_bounds", "at_target"}


@pytest.mark.parametrize(
    ("product", "direction"), crossed(PRODUCTS, DIRECTIONS, stays=lambda *case: case == (A_POOL, "add"))
)
async def test_a_lost_request_is_made_up_for_once_though_reads_are_old(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault("stale_reads", endpoint=product.loans, seconds=2, times=None)
        world.fault("close_before", endpoint="adjust")
        async with world.guarded():
            await world.until_settled_at_target(direction)
            await world.until(lambda: shows_nothing_to_do(world.events))
        assert len(world.effects()) == 1
        assert await world.ends() == ["absent", "confirmed"]


@pytest.mark.parametrize(("product", "direction"), crossed(PRODUCTS, DIRECTIONS, stays=never))
async def test_reads_that_flicker_between_old_and_new_are_seen_through(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    config = {"settlement": {"history_lag_s": 1}}
    async with open_a_world(scenario_of(NEEDY[direction], product), config=config) as world:
        world.fault("stale_reads", endpoint=product.loans, seconds=2, times=None, probability="0.5")
        async with world.guarded():
            await world.until_settled_at_target(direction)
            await world.until(lambda: len(world.heard("cycle_finished")) > 25)
        assert len(world.effects()) == 1
        assert await world.ends() == ["confirmed"]


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_what_the_user_takes_out_again_is_a_new_need(open_a_world: OpenWorld, product: Product) -> None:
    async with open_a_world(scenario_of(NEEDY["add"], product)) as world, world.guarded():
        await world.until_settled_at_target()
        (first,) = world.effects()
        world.by_hand("reduce", first.amount)
        await world.until_settled_at_target()
        first, second = world.effects()
        assert first.amount != second.amount
        assert len((await world.judge())["confirmed"]) == 2


@pytest.mark.parametrize("product", crossed(PRODUCTS, stays=lambda product: product is A_POOL))
async def test_what_the_user_takes_out_before_it_was_seen_is_a_new_need_too(
    open_a_world: OpenWorld, product: Product
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"], product)) as world:
        world.fault("hang_after", endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.effects()))
            world.by_hand("reduce", world.effects()[0].amount)
            await world.until(lambda: len(world.effects()) > 1)
            await world.until_settled_at_target()
        assert len(world.effects()) == 2
        assert len((await world.judge())["confirmed"]) == 2


@pytest.mark.parametrize(
    ("product", "lost"), crossed(PRODUCTS, LOST, stays=lambda *case: case == (AN_ORDER, "close_before"))
)
async def test_the_same_round_amount_by_hand_is_told_from_ours_by_the_mark(
    open_a_world: OpenWorld, product: Product, lost: str
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"], product)) as world:
        world.fault(lost, endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.adjustments_sent()))
            (intent,) = await world.intents()
            world.by_hand("add", intent.amount.quantize(Decimal("0.0001")))
            await world.until_quiet()
            (ours,) = [item for item in await world.intents() if item.intent_id == intent.intent_id]
            assert ours.state == ("absent" if lost == "close_before" else "confirmed")
            assert world.ltv() <= TARGETS["add"]
        # The user's own hand did what was needed: ours, made up for, would have been too much.
        assert len(world.effects()) == (0 if lost == "close_before" else 1)
        await world.judge()


@pytest.mark.parametrize(
    ("product", "direction"), crossed(PRODUCTS, DIRECTIONS, stays=lambda _, direction: direction == "add")
)
async def test_our_exact_amount_by_hand_is_taken_for_ours_that_was_lost_and_nothing_moves_twice(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    """Nobody could tell them apart. What was needed is there; the journal names the user's row as ours."""
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault("close_before", endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.adjustments_sent()))
            (intent,) = await world.intents()
            twin = world.by_hand(direction, intent.amount)
            await world.until_quiet()
            await world.until(lambda: shows_nothing_to_do(world.events))
        (ours,) = (await world.judge(twins=[twin]))["confirmed"]
        assert (ours.intent_id, ours.adjust_id) == (intent.intent_id, str(twin.adjust_id))
        assert not world.effects(), "it must never move twice"
        assert world.is_at_target(direction)


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize("ours", ["landed before", "lands later"])
async def test_our_exact_amount_by_hand_beside_ours_that_lands_is_one_effect_of_one_intent(
    open_a_world: OpenWorld, product: Product, ours: str
) -> None:
    """Which of the two rows is ours may be mistaken, or left open; that both are there is not."""
    async with open_a_world(scenario_of(NEEDY["add"], product)) as world:
        late = {"kind": "apply_late", "delay_s": "0.7"}
        world.fault(endpoint="adjust", **({"kind": "close_after"} if ours == "landed before" else late))
        world.fault("history_lag", endpoint="adjust", seconds="0.5")
        async with world.guarded():
            await world.until(lambda: bool(world.adjustments_sent()))
            (intent,) = await world.intents()
            twin = world.by_hand("add", intent.amount)
            await world.until(lambda: bool(world.effects()))
            await world.until_quiet()
            await world.until(lambda: shows_nothing_to_do(world.events))
        assert (await world.judge(twins=[twin])).keys() <= {"confirmed", "ambiguous"}
        (row,) = world.effects()
        assert row.amount == twin.amount
        assert len(world.adjustments_sent()) == 1
        # The user added as much again by hand: both count, and neither is added or taken back.
        assert world.ltv() == Decimal(30000) / (NEEDY["add"] * (1 + 2 * row.amount))


@pytest.mark.parametrize(
    ("product", "direction", "lost"),
    crossed(PRODUCTS, DIRECTIONS, LOST, stays=lambda *case: case == (A_POOL, "add", "close_before")),
)
async def test_a_partial_liquidation_is_not_taken_for_ours(
    open_a_world: OpenWorld, product: Product, direction: str, lost: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault(lost, endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.adjustments_sent()))
            world.exchange.partial_liquidation(USER, product.loan_id, Decimal("0.05"))
            await world.until_quiet()
        by_state = await world.judge()
        assert by_state.keys() >= ({"absent"} if lost == "close_before" else {"confirmed"})


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_an_add_by_hand_holds_back_a_release(open_a_world: OpenWorld, product: Product) -> None:
    config = {"policy": {"reduce": {"after_foreign_add_s": 3600}}}
    async with open_a_world(config=config) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.by_hand("add", Decimal(1))
        await world.until(lambda: any("by hand" in item["reason"] for item in world.heard("decision_made")))
        assert not world.effects()
