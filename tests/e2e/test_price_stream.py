"""A loan whose price crosses is looked at without waiting for the clock; a failing stream costs only that."""

from __future__ import annotations

import asyncio
import signal
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import (
    AN_ORDER,
    NEAR,
    PRODUCTS,
    SECRET,
    Product,
    World,
    command,
    merged,
    scenario_of,
    shown_first,
    with_quiet_orders,
)

from ltv_guard.adapters.bybit import warm_socket
from ltv_guard.adapters.bybit.warm_socket import is_unused

if TYPE_CHECKING:
    from conftest import OpenWorld

NEVER = {"schedule": {"poll_interval_s": 300, "fastest_poll_s": 300}}
PRICE_FIELDS = ("lastPrice", "usdIndexPrice")


def streamed(world: World, changes: dict[str, Any] | None = None) -> None:
    world.configure(merged({"exchange": {"stream_url": world.stream_url}}, changes or {}))


def connections(world: World) -> int:
    return world.exchange.requests["GET /v5/public/spot"]


def looks(world: World) -> int:
    return len(world.heard("cycle_finished"))


async def until_followed(world: World) -> None:
    """A look, and prices of what it has shown."""
    await world.until(lambda: looks(world) > 0 and connections(world) > 0)
    await asyncio.sleep(0.3)


def lie(world: World, price: str, **how: object) -> None:
    for name in PRICE_FIELDS:
        world.fault("nonsense", endpoint="ticks", field=name, value=price, times=None, **how)


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_a_crossing_is_acted_on_though_nobody_polls(open_a_world: OpenWorld, product: Product) -> None:
    async with open_a_world(product=product) as world:
        streamed(world, NEVER)
        async with world.guarded():
            await until_followed(world)
            world.price(39_000)
            await world.until_settled_at_target()
            world.price(38_000)  # the loan as it is after the add has a line of its own
            world.price(33_000)
            await world.until_settled_at_target()
        assert await world.ends() == ["confirmed", "confirmed"]
        assert world.heard("price_stream_lost") == []


async def test_near_its_trigger_a_connection_waits_for_the_write(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []

    def looked_at(connection: Any) -> bool:  # noqa: ANN401 - aiohttp's
        taken.append(is_unused(connection))
        return taken[-1]

    monkeypatch.setattr(warm_socket, "is_unused", looked_at)
    async with open_a_world(scenario_of(NEAR)) as world:
        world.configure({"schedule": {"poll_interval_s": 300, "fastest_poll_s": 0.1}})
        async with world.guarded():
            await world.until(lambda: looks(world) > 4)
            world.price(39_000)
            await world.until_settled_at_target()
        assert True in taken


@pytest.mark.parametrize("with_stream", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_near_its_trigger_an_account_is_looked_at_often_with_and_without_a_stream(
    open_a_world: OpenWorld,
    with_stream: bool,  # noqa: FBT001 - a parameter
) -> None:
    async with open_a_world(scenario_of(NEAR)) as world:
        world.configure({"schedule": {"poll_interval_s": 300, "fastest_poll_s": 0.1}})
        if with_stream:
            streamed(world)
        async with world.guarded():
            await world.until(lambda: looks(world) > 4)
            assert [event["poll_s"] for event in world.heard("account_armed")] == [0.1]
            assert (connections(world) > 0) is with_stream
            world.price(39_000)
            await world.until_settled_at_target()


async def test_a_price_that_comes_near_arms_an_account_that_was_far_from_its_trigger(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world:
        streamed(world, {"schedule": {"poll_interval_s": 300, "fastest_poll_s": 0.1}})
        async with world.guarded():
            await until_followed(world)
            assert world.heard("account_armed") == []
            seen = looks(world)
            world.price(NEAR)
            await world.until(lambda: looks(world) > seen + 4)
            assert world.effects() == [], "what is only near must never be helped"


async def test_a_lie_has_the_exchange_asked_a_few_times_and_sends_nothing(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        streamed(world, NEVER)
        async with world.guarded():
            await until_followed(world)
            seen = looks(world)
            lie(world, "100")
            await world.until(lambda: looks(world) > seen)
            await asyncio.sleep(2)
            assert looks(world) <= seen + 2
            world.exchange.clear_faults()
            await asyncio.sleep(0.3)
            world.price(39_000)
            await world.until_settled_at_target()
        assert await world.ends() == ["confirmed"]


@pytest.mark.slow
async def test_a_stream_that_flips_between_truth_and_lies_costs_a_read_a_second(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world:
        streamed(world, NEVER)
        async with world.guarded():
            await until_followed(world)
            seen = looks(world)
            lie(world, "100", probability="0.5")
            await asyncio.sleep(4)
            assert looks(world) <= seen + 6
            assert world.adjustments_sent() == [], "a lie must never send anything"
            world.price(39_000)
            await world.until_settled_at_target()
        assert await world.ends() == ["confirmed"]


FAULTS: list[dict[str, Any]] = [
    {"kind": "close_before", "endpoint": "ticks"},
    {"kind": "hang_before", "endpoint": "ticks"},
    {"kind": "not_json", "endpoint": "ticks"},
    {"kind": "old_answer", "endpoint": "ticks", "seconds": "30"},
    {"kind": "wild_time", "endpoint": "ticks", "offset_ms": -60_000},
    {"kind": "nonsense", "endpoint": "ticks", "field": "symbol", "value": "NONEUSDT"},
    {"kind": "padding", "endpoint": "ticks", "size": 100_000},
    {"kind": "flood", "endpoint": "ticks", "size": 20_000},
]


@pytest.mark.parametrize("fault", shown_first(FAULTS, 1))
async def test_while_the_stream_is_of_no_use_polling_goes_on_and_one_word_tells_its_start_and_its_end(
    open_a_world: OpenWorld, fault: dict[str, Any]
) -> None:
    async with open_a_world() as world:
        streamed(world, {"schedule": {"poll_interval_s": 0.5}})
        async with world.guarded():
            await until_followed(world)
            world.fault(**fault, times=None)
            await world.until(lambda: bool(world.heard("price_stream_lost")))
            seen = looks(world)
            world.price(39_000)
            await world.until_settled_at_target()
            await asyncio.sleep(1)
            assert looks(world) < seen + 60
            world.exchange.clear_faults()
            await world.until(lambda: bool(world.heard("price_stream_back")))
            world.price(33_000)
            await world.until_settled_at_target()
        assert len(world.heard("price_stream_lost")) == len(world.heard("price_stream_back")) == 1
        assert await world.ends() == ["confirmed", "confirmed"]


async def test_a_thousand_ticks_a_second_change_nothing(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        streamed(world, NEVER)
        async with world.guarded():
            await until_followed(world)
            world.fault("flood", endpoint="ticks", size=100, times=None)
            for price in range(51_000, 45_000, -500):
                world.price(price)
                await asyncio.sleep(0.1)
            seen = looks(world)
            world.price(39_000)
            await world.until_settled_at_target()
            assert seen == 1
        assert world.heard("price_stream_lost") == []
        assert await world.ends() == ["confirmed"]


async def test_two_accounts_share_one_stream_and_only_the_one_that_crosses_is_looked_at(
    open_a_world: OpenWorld,
) -> None:
    scenario = scenario_of()
    scenario["market"]["coins"]["ETH"] = {"path": [[0, "2600"]]}
    scenario["keys"].append({"key": "second", "secret": SECRET, "user": "2"})
    order = {**AN_ORDER.borrowed["orders"][0], "order_id": "2001", "debt": "1500", "collateral_coin": "ETH"}
    scenario["users"]["2"] = {"funding": {"ETH": "5"}, "orders": [order]}
    second = {"products": [AN_ORDER.name], "api_key_file": "second.key", "api_secret_file": "second.secret"}
    async with open_a_world(scenario) as world:
        streamed(world, merged(NEVER, {"accounts": {"second": second}}))
        async with world.guarded():
            await world.until(lambda: looks(world) > 1)
            await asyncio.sleep(0.3)
            world.exchange.set_price("ETH", Decimal(1950))
            await world.until(lambda: len(world.effects("2001")) == 1 and looks(world) > 2)
            assert {event["account"] for event in world.heard("cycle_finished")[2:]} == {"second"}
        assert connections(world) == 1


async def test_what_a_decision_needs_is_read_beside_the_loans(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        streamed(world, NEVER)
        async with world.guarded():
            await until_followed(world)
            read = len(world.exchange.reads)
            world.fault("slow", endpoint="orders", seconds="0.3", times=None)
            world.price(39_000)
            await world.until_settled_at_target()
            came = {}
            for entry in list(world.exchange.reads)[read:]:
                came.setdefault(entry["endpoint"], entry["time_ms"])
            sent_ms = world.adjustments_sent()[0]["time_ms"]
        assert max(came[name] for name in ("wallet", "history", "tickers")) < came["orders"] + 300 <= sent_ms
        assert await world.ends() == ["confirmed"]


async def test_of_a_list_of_several_pages_the_one_that_crosses_is_read_by_its_id(
    open_a_world: OpenWorld,
) -> None:
    scenario = with_quiet_orders(scenario_of(limits={"reads_per_s": 1000}), 250)
    async with open_a_world(scenario) as world:
        streamed(world, NEVER)
        async with world.guarded():
            await until_followed(world)
            read = len(world.exchange.reads)

            def asked() -> list[str]:
                entries = list(world.exchange.reads)[read:]
                return [entry["payload"] for entry in entries if entry["endpoint"] == "orders"]

            lie(world, "39000")
            await world.until(lambda: any("cursor" in payload for payload in asked()))
            assert "orderId=1001" in asked()[:2]  # and all of them next, though nothing was to be done
            world.exchange.clear_faults()
            await world.until(lambda: looks(world) == 3)
            await asyncio.sleep(1)
            world.price(39_000)
            await world.until_settled_at_target()
        assert await world.ends() == ["confirmed"]


async def test_a_reload_turns_the_stream_off_and_on_again(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        streamed(world, NEVER)
        async with command("run", "-c", world.config_file) as daemon:

            async def reloads(changes: dict[str, Any]) -> None:
                told = len(daemon.heard("config_reloaded"))
                world.configure({"schedule": changes})
                daemon.process.send_signal(signal.SIGHUP)
                await world.until(lambda: len(daemon.heard("config_reloaded")) > told)
                await world.until(lambda: len(daemon.heard("daemon_started")) == told + 2)

            await world.until(lambda: bool(daemon.heard("cycle_finished")) and connections(world) == 1)
            await reloads({"settle_interval_s": 0.2})
            await reloads({"price_stream": False})
            assert connections(world) == 1  # one that did not change went on
            await reloads({"price_stream": True})
            await world.until(lambda: connections(world) == 2)
            await asyncio.sleep(0.3)
            world.price(39_000)
            await world.until_settled_at_target()
            streams = [event["stream"][:5] for event in daemon.heard("daemon_started")]
            assert streams == ["ws://", "ws://", "none", "ws://"]


async def test_without_a_stream_there_is_no_connection_and_the_start_says_so(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        streamed(world, {"schedule": {"price_stream": False}})
        async with world.guarded():
            await world.until(lambda: looks(world) > 1)
        assert connections(world) == 0
        assert [event["stream"] for event in world.heard("daemon_started")] == ["none"]
