"""`replay` without a file of loans reads them, and the wallet, from the exchange."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import AN_ORDER, USER, World, ran, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

CRASH = ("--synthetic", "fall=0.5,hours=1,seed=1")
RICH = {USER: {"funding": {"BTC": "1.5"}, **AN_ORDER.borrowed}}


async def replayed(world: World, *words: str) -> tuple[int, Any]:
    status, said = await ran("replay", "-c", world.config_file, *CRASH, *words)
    return status, said


@pytest.mark.slow
async def test_loans_and_wallet_are_read_from_the_account(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(users=RICH)) as world:
        world.configure({})
        status, said = await replayed(world, "--json", "--account", "main")
        assert status == 0, said.output
        tree = json.loads("".join(said.lines))
        (loan,) = tree["loans"]
        (live,) = tree["inputs"]["live_loans"]
        assert (loan["loan_id"], loan["twin_liquidated"]) == ("1001", True)
        assert tree["inputs"]["wallet"] == {"BTC": "1.5"}
        assert live == {
            "loan_id": "1001",
            "collateral": {"BTC": "1"},
            "owes_in": ["USDT"],
            "start_ltv": live["start_ltv"],
        }
        assert "of the account main, as they were at 20" in tree["inputs"]["loans"]
        status, said = await replayed(world, "--json", "--wallet", "BTC=0.2")
        assert json.loads("".join(said.lines))["inputs"]["wallet"] == {"BTC": "0.2"}
        status, said = await replayed(world, "--account", "nobody")
        assert (status, "has no account nobody" in said.output) == (2, True)
