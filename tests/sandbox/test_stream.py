"""The price stream: subscription, heartbeat, snapshots, and how it can go silent."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import pytest
from sandbox_world import Serve

from ltv_guard.sandbox import Exchange, Fault

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
        again = await socket.receive_json(timeout=2)
        exchange.set_price("BTC", Decimal(49000))
        last = again
        while last["data"]["lastPrice"] != "49000":
            last = await socket.receive_json(timeout=2)
        assert (first["topic"], first["data"]["lastPrice"]) == ("tickers.BTCUSDT", "50000")
        assert (again["data"]["lastPrice"], again["type"]) == ("50000", "snapshot")
        assert first["cs"] < again["cs"] < last["cs"]


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


TELLS: list[tuple[dict[str, object], Callable[[str], bool]]] = [
    ({"kind": "not_json"}, lambda text: text.startswith("<html>")),
    ({"kind": "json_not_object", "body": "[]"}, lambda text: text == "[]"),
    ({"kind": "empty_body"}, lambda text: not text),
    ({"kind": "padding", "size": 5000}, lambda text: len(text) > 5000),
    ({"kind": "nonsense", "field": "lastPrice", "value": "NaN"}, lambda text: '"lastPrice": "NaN"' in text),
    ({"kind": "nonsense", "field": "cs", "remove": True}, lambda text: '"cs"' not in text),
    ({"kind": "wild_time", "offset_ms": -5000}, lambda text: age_ms(text) >= 5000),
    ({"kind": "old_answer", "seconds": "60"}, lambda text: age_ms(text) >= 60_000),
]


def age_ms(text: str) -> float:
    return time.time() * 1000 - int(json.loads(text)["ts"])


@pytest.mark.parametrize(
    ("fault", "is_so"), TELLS, ids=lambda value: value["kind"] if isinstance(value, dict) else ""
)
async def test_what_it_tells_can_be_wrong(
    serve: Serve, fault: dict[str, object], is_so: Callable[[str], bool]
) -> None:
    struck = [{"endpoint": "ticks", "times": None, **fault}]
    async with serve(faults=struck) as (exchange, _), stream(exchange) as socket:
        await socket.send_json(SUBSCRIBE)
        await socket.receive_json(timeout=2)
        assert is_so(await socket.receive_str(timeout=2))


async def test_ticks_can_be_withheld_told_a_hundred_times_or_end_the_connection(serve: Serve) -> None:
    async with serve() as (exchange, _), stream(exchange) as socket:
        exchange.add_fault(Fault(kind="hang_before", endpoint="ticks", loan_id="BTC", times=None))
        await socket.send_json(SUBSCRIBE)
        await socket.receive_json(timeout=2)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.3)
    async with serve() as (exchange, _), stream(exchange) as socket:
        exchange.add_fault(Fault(kind="flood", endpoint="ticks", size=100))
        await socket.send_json(SUBSCRIBE)
        await socket.receive_json(timeout=2)
        told = {await socket.receive_str(timeout=2) for _ in range(100)}
        assert len(told) == 1
        exchange.add_fault(Fault(kind="close_before", endpoint="ticks", reset=True))
        while (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.TEXT:
            pass


async def test_a_fault_of_everything_does_not_wear_off_on_prices(serve: Serve) -> None:
    async with serve(faults=[{"kind": "ret_code", "after": 1}]) as (exchange, client):
        async with stream(exchange) as socket:
            await socket.send_json(SUBSCRIBE)
            for _ in range(3):
                await socket.receive(timeout=2)
        assert (await client.get("/v5/market/time"))["retCode"] == 10016


@pytest.mark.parametrize(("fault", "status"), [("http_error", 502), ("redirect", 404)])
async def test_there_may_be_no_websocket(serve: Serve, fault: str, status: int) -> None:
    struck = [{"kind": fault, "endpoint": "stream", "location": "/elsewhere"}]
    async with serve(faults=struck) as (exchange, _):
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            async with stream(exchange):
                pass
        assert error.value.status == status


async def test_a_subscription_to_a_coin_can_be_refused_and_names_its_request(serve: Serve) -> None:
    struck = [{"kind": "ret_code", "endpoint": "stream", "value": "NONE", "times": None}]
    async with serve(faults=struck) as (exchange, _), stream(exchange) as socket:
        await socket.send_json({**SUBSCRIBE, "req_id": "mine"})
        answer = await socket.receive_json(timeout=2)
        assert (answer["success"], answer["req_id"]) == (False, "mine")


async def test_a_stream_can_say_nothing(serve: Serve) -> None:
    mute = [{"kind": "hang_before", "endpoint": "stream"}]
    async with serve(faults=mute) as (exchange, _), stream(exchange) as socket:
        await socket.send_json(SUBSCRIBE)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.2)
