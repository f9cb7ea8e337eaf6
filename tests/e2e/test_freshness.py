"""What the exchange shows may be old, in part or whole; what somebody else does is news. Over the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, ORDER, TARGETS, USER, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

DIRECTIONS = ["add", "reduce"]
VARIANTS = ["whole", "old_collateral", "new_collateral_old_ltv"]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("answer", ["given", "lost"])
async def test_loans_shown_as_they_were_are_not_adjusted_a_second_time(
    open_a_world: OpenWorld, answer: str, variant: str, direction: str
) -> None:
    """Five seconds old, for ever, though the history is told to be at most 0.3 s late."""
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        world.fault("stale_reads", endpoint="orders", seconds=5, variant=variant, times=None)
        if answer == "lost":
            world.fault("close_after", endpoint="adjust")
        async with world.guarded():
            await world.until_settled_at_target(direction)
            await world.until(lambda: shows_nothing_to_do(world.events))
        assert [row.direction for row in world.effects()] == [direction]
        assert list(await world.judge()) == ["confirmed"]


def shows_nothing_to_do(events: list[dict[str, object]]) -> bool:
    """Whether the guard has seen the loan as it now is, and is content with it."""
    decided = [event for event in events if event["event"] == "decision_made"]
    return bool(decided) and decided[-1]["cause"] in {"in_bounds", "at_target"}


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_lost_request_is_made_up_for_once_though_reads_are_old(
    open_a_world: OpenWorld, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        world.fault("stale_reads", endpoint="orders", seconds=2, times=None)
        world.fault("close_before", endpoint="adjust")
        async with world.guarded():
            await world.until_settled_at_target(direction)
            await world.until(lambda: shows_nothing_to_do(world.events))
        assert len(world.effects()) == 1
        assert sorted(await world.judge()) == ["absent", "confirmed"]


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_reads_that_flicker_between_old_and_new_are_seen_through(
    open_a_world: OpenWorld, direction: str
) -> None:
    config = {"settlement": {"history_lag_s": 1}}
    async with open_a_world(scenario_of(NEEDY[direction]), config=config) as world:
        world.fault("stale_reads", endpoint="orders", seconds=2, times=None, probability="0.5")
        async with world.guarded():
            await world.until_settled_at_target(direction)
            await world.until(lambda: len(world.heard("cycle_finished")) > 25)
        assert len(world.effects()) == 1
        assert list(await world.judge()) == ["confirmed"]


async def test_what_the_user_takes_out_again_is_a_new_need(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world, world.guarded():
        await world.until_settled_at_target()
        (first,) = world.effects()
        world.exchange.user_adjust(USER, ORDER, "reduce", first.amount)
        await world.until_settled_at_target()
        first, second = world.effects()
        assert first.amount != second.amount
        assert len((await world.judge())["confirmed"]) == 2


async def test_what_the_user_takes_out_before_it_was_seen_is_a_new_need_too(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("hang_after", endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.effects()))
            world.exchange.user_adjust(USER, ORDER, "reduce", world.effects()[0].amount)
            await world.until(lambda: len(world.effects()) > 1)
            await world.until_settled_at_target()
        assert len(world.effects()) == 2
        assert len((await world.judge())["confirmed"]) == 2


@pytest.mark.parametrize("lost", ["close_before", "close_after"])
async def test_the_same_round_amount_by_hand_is_told_from_ours_by_the_mark(
    open_a_world: OpenWorld, lost: str
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault(lost, endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.adjustments_sent()))
            (intent,) = await world.intents()
            by_hand = intent.amount.quantize(Decimal("0.0001"))
            world.exchange.user_adjust(USER, ORDER, "add", by_hand)
            await world.until(world.none_is_open)
            (ours,) = [item for item in await world.intents() if item.intent_id == intent.intent_id]
            assert ours.state == ("absent" if lost == "close_before" else "confirmed")
            assert world.ltv() <= TARGETS["add"]
        # The user's own hand did what was needed: ours, made up for, would have been too much.
        assert len(world.effects()) == (0 if lost == "close_before" else 1)
        await world.judge()


@pytest.mark.parametrize("lost", ["close_before", "close_after"])
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_partial_liquidation_is_not_taken_for_ours(
    open_a_world: OpenWorld, lost: str, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        world.fault(lost, endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.adjustments_sent()))
            world.exchange.partial_liquidation(USER, ORDER, Decimal("0.05"))
            await world.until(world.none_is_open)
        by_state = await world.judge()
        assert by_state.keys() >= ({"absent"} if lost == "close_before" else {"confirmed"})


async def test_an_add_by_hand_holds_back_a_release(open_a_world: OpenWorld) -> None:
    config = {"policy": {"reduce": {"after_foreign_add_s": 3600}}}
    async with open_a_world(config=config) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.exchange.user_adjust(USER, ORDER, "add", Decimal(1))
        await world.until(lambda: any("by hand" in item["reason"] for item in world.heard("decision_made")))
        assert not world.effects()
