"""Where nothing goes wrong: what an adjustment looks like on the wire, and where it leaves the loan."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import DIRECTIONS, NEEDY, PRODUCTS, TARGETS, Product, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_an_unhindered_adjustment_ends_within_a_thousandth_below_its_target(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world, world.guarded():
        await world.until_settled_at_target(direction)
        (row,) = world.effects()
        assert TARGETS[direction] - Decimal("0.001") <= row.ltv_after <= TARGETS[direction]
        assert await world.ends() == ["confirmed"]


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize(("direction", "code"), [("add", "0"), ("reduce", "1")])
async def test_an_adjustment_is_a_post_of_three_strings(
    open_a_world: OpenWorld, product: Product, direction: str, code: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world, world.guarded():
        await world.until_settled_at_target(direction)
        (sent,) = world.exchange.writes
        (intent,) = await world.intents()
    assert (sent["method"], sent["path"]) == ("POST", product.adjust_path)
    assert sent["content_type"] == "application/json"
    assert json.loads(sent["payload"]) == {
        **product.adjust_body,
        "amount": format(intent.amount, "f"),
        "direction": code,
    }
