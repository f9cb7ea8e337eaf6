"""Serving: who may come in, when the market starts, and how it all ends."""

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from sandbox_world import Serve, build, eventually

from ltv_guard.sandbox import Exchange, ScenarioError, run
from ltv_guard.sandbox.control import Control

D = Decimal
SCENARIOS = Path(__file__).parents[2] / "config" / "scenarios"
FALLING = {
    "coins": {"BTC": {"path": [[0, "50000"], [1, "30000"], [2, "50000"]]}, "ETH": {"path": [[0, "1"]]}}
}


async def test_a_scenario_file_is_served_until_it_is_told_to_stop() -> None:
    stop, told = asyncio.Event(), list[str]()
    serving = asyncio.create_task(run(SCENARIOS / "calm.yaml", "127.0.0.1", 0, stop, told.append))
    await eventually(lambda: len(told) == 2)
    url = told[0].rsplit(" ", 1)[1]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/sandbox/state") as answer:
        assert (await answer.json())["scenario"] == "calm"
    stop.set()
    await serving


async def test_an_unusable_scenario_file_is_an_error_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yaml"):
        await run(tmp_path / "none.yaml", "127.0.0.1", 0, asyncio.Event(), print)


async def test_a_fall_between_two_ticks_liquidates_all_the_same(serve: Serve) -> None:
    async with serve(market=FALLING | {"speed_up": "500"}) as (exchange, _):
        await eventually(lambda: bool(exchange.ledger.liquidations))
        assert exchange.ledger.liquidations[0].prices["BTC"] < 31579


async def test_the_market_can_wait_for_the_first_request(serve: Serve) -> None:
    async with serve(market=FALLING | {"start": "first_request"}) as (exchange, client):
        await client.control("GET", "state")
        assert exchange.market.began_s is None
        await client.get("/v5/market/time")
        assert exchange.market.began_s is not None


async def test_the_control_plane_is_for_this_machine_only() -> None:
    request = make_mocked_request("GET", "/sandbox/state", match_info={"name": "state"})
    answer = await Control(Exchange(build())).serve(request.clone(remote="192.0.2.1"))
    assert answer.status == 403


async def test_a_hanging_request_does_not_keep_the_sandbox_open(serve: Serve) -> None:
    hangs = [{"kind": "hang_before", "endpoint": "orders"}]
    async with serve(faults=hangs) as (exchange, client):
        asking = asyncio.create_task(client.get("/v5/crypto-loan/ongoing-orders"))
        await eventually(lambda: bool(exchange.requests))
        began = time.monotonic()
    assert time.monotonic() - began < 2
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_what_would_be_applied_late_dies_with_the_sandbox(serve: Serve) -> None:
    late = [{"kind": "apply_late", "endpoint": "adjust", "delay_s": "0.3"}]
    async with serve(faults=late) as (exchange, client):
        with pytest.raises(aiohttp.ClientError):
            await client.adjust("0", "0.1")
    await asyncio.sleep(0.35)
    assert exchange.ledger.effects == []


async def test_an_effect_can_be_traced_to_the_request_that_made_it(serve: Serve) -> None:
    async with serve() as (_, client):
        await client.adjust("0", "0.1")
        _, state = await client.control("GET", "state")
    assert state["effects"][0]["signed_at"] == state["writes"][0]["timestamp"]
    assert json.loads(state["writes"][0]["payload"])["amount"] == state["effects"][0]["amount"]
