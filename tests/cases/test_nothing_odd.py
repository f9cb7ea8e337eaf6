"""The ground that the cases stand on: without anything odd, a loan in breach is saved."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import PRODUCTS, Product, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_a_loan_in_breach_is_saved(open_a_world: OpenWorld, product: Product) -> None:
    async with open_a_world(scenario_of(Decimal(38000), product)) as world, world.guarded():
        await world.until_settled_at_target()
        await world.judge()
