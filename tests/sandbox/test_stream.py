"""The price stream: subscription, heartbeat, snapshots, and how it can go silent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import pytest
from sandbox_world import Serve

from ltv_guard.sandbox import Exchange

SUBSCRIBE = {"op": "subscribe", "args": ["tickers.BTCUSDT", "tickers.NONEUSDT"]}


@asynccontextmanager
async def stream(exchange: Exchange) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{exchange.url}/v5/public/spot") as socket,
    ):
        yield socket


async def test_a_subscriber_gets_the_price_and_then_its_changes(serve: Serve) -> None:
    async with serve() as (exchange, _), stream(exchange) as socket:
        await socket.send_json(SUBSCRIBE)
        assert (await socket.receive_json(timeout=2))["success"] is True
        first = await socket.receive_json(timeout=2)
        exchange.set_price("BTC", Decimal(49000))
        second = await socket.receive_json(timeout=2)
        assert (first["topic"], first["data"]["lastPrice"]) == ("tickers.BTCUSDT", "50000")
        assert (second["data"]["lastPrice"], second["type"]) == ("49000", "snapshot")


@pytest.mark.parametrize(
    ("asked", "success", "told"),
    [
        ({"op": "ping"}, True, "pong"),
        ({"op": "subscribe", "args": ["tickers.BTCUSDT"] * 11}, False, "refused"),
        ({"op": "subscribe", "args": ["orderbook.1.BTCUSDT"]}, False, "refused"),
        (["op"], False, "not an operation"),
    ],
)
async def test_operations_are_answered(serve: Serve, asked: object, told: str, *, success: bool) -> None:
    async with serve() as (exchange, _), stream(exchange) as socket:
        await socket.send_json(asked)
        answer = await socket.receive_json(timeout=2)
        assert (answer["success"], answer["ret_msg"]) == (success, told)


async def test_a_stream_can_be_cut_off(serve: Serve) -> None:
    cut = [{"kind": "close_after", "endpoint": "stream", "seconds": "0.2"}]
    async with serve(faults=cut) as (exchange, _), stream(exchange) as socket:
        await socket.send_json({"op": "ping"})
        await socket.receive_json(timeout=2)
        assert (await socket.receive(timeout=2)).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_a_stream_can_say_nothing(serve: Serve) -> None:
    mute = [{"kind": "hang_before", "endpoint": "stream"}]
    async with serve(faults=mute) as (exchange, _), stream(exchange) as socket:
        await socket.send_json(SUBSCRIBE)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.2)
