"""The price stream over real sockets: what it follows, and what each thing that goes wrong costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sandbox_world import build
from waits import until

from ltv_guard.adapters.bybit.ban import Ban
from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.latest_prices import LatestPrices
from ltv_guard.adapters.bybit.price_stream import Failure, SpotPrices
from ltv_guard.adapters.bybit.stream_session import StreamPaces
from ltv_guard.adapters.bybit.stream_wire import Tick, parse_message
from ltv_guard.sandbox import Exchange, Fault, Sandbox

PACES = StreamPaces(
    ping_s=0.2, silence_s=0.5, steady_s=0.6, look_s=0.05, first_wait_s=0.05, longest_wait_s=0.1, close_s=0.1
)
Open = Callable[..., AbstractAsyncContextManager[tuple[Exchange, SpotPrices]]]


@contextlib.asynccontextmanager
async def opened(
    *coins: str, paces: StreamPaces = PACES, ban: Ban | None = None, path: str = "/v5/public/spot"
) -> AsyncIterator[tuple[Exchange, SpotPrices]]:
    """A sandbox whose clock was measured, and a stream of its prices that runs."""
    async with Sandbox(build()).serve() as exchange:
        clock = ExchangeClock()
        await clock.measure(lambda: _now(exchange))
        url = f"ws{exchange.url.removeprefix('http')}{path}"
        stream = SpotPrices(url, clock=clock, ban=ban or Ban("sandbox"), paces=paces)
        stream.follow(coins)
        running = asyncio.create_task(stream.run())
        try:
            yield exchange, stream
        finally:
            running.cancel()
            await asyncio.wait([running])


async def _now(exchange: Exchange) -> int:
    return exchange.clock.now_ms()


def strike(exchange: Exchange, kind: str, endpoint: str = "ticks", **how: Any) -> None:  # noqa: ANN401
    exchange.add_fault(Fault.model_validate({"kind": kind, "endpoint": endpoint, "times": None, **how}))


def asked(exchange: Exchange) -> int:
    return exchange.requests["GET /v5/public/spot"]


async def test_it_tells_the_prices_of_the_coins_that_are_followed_and_their_changes() -> None:
    async with opened("BTC", "USDT") as (exchange, stream):
        assert await stream.moved() == {"BTC"}
        exchange.set_price("BTC", Decimal(49000))
        assert await stream.moved() == {"BTC"}
        assert stream.prices == {"USDT": 1, "BTC": 49000}
        assert stream.why_lost is None


async def test_other_coins_are_followed_without_another_connection_and_without_any_there_is_none() -> None:
    async with opened() as (exchange, stream):
        await asyncio.sleep(0.2)
        assert asked(exchange) == 0
        stream.follow(["BTC"])
        await until(lambda: "BTC" in stream.prices)
        stream.follow(["ETH"])
        await until(lambda: stream.prices == {"USDT": 1, "ETH": 2500})
        assert asked(exchange) == 1
        stream.follow([])
        await asyncio.sleep(0.2)
        stream.follow(["ETH"])
        await until(lambda: "ETH" in stream.prices)
        assert asked(exchange) == 2


async def test_more_coins_than_one_request_may_name_are_asked_for_in_several() -> None:
    async with opened(*(f"C{number}" for number in range(25)), "BTC") as (exchange, stream):
        await until(lambda: "BTC" in stream.prices)
        assert exchange.requests["stream subscribe"] == 3


async def test_a_coin_that_the_exchange_does_not_stream_costs_only_itself() -> None:
    async with opened() as (exchange, stream):
        strike(exchange, "ret_code", "stream", value="NONE")
        stream.follow(["BTC", "ETH", "NONE"])
        await until(lambda: stream.prices.keys() == {"USDT", "BTC", "ETH"})
        stream.follow(["NONE"])
        await asyncio.sleep(2 * PACES.silence_s + PACES.steady_s)
        assert (stream.why_lost, asked(exchange)) == (None, 1)


async def test_a_coin_that_was_refused_is_asked_for_again_on_the_same_connection() -> None:
    async with opened(paces=replace(PACES, again_s=0.2)) as (exchange, stream):
        strike(exchange, "ret_code", "stream", value="ETH", seconds="0.5")
        stream.follow(["BTC", "ETH"])
        await until(lambda: "BTC" in stream.prices)
        assert "ETH" not in stream.prices
        await until(lambda: "ETH" in stream.prices)
        assert (stream.why_lost, asked(exchange)) == (None, 1)
        before = exchange.requests["stream subscribe"]
        await asyncio.sleep(0.5)
        assert exchange.requests["stream subscribe"] == before


USELESS: list[dict[str, Any]] = [
    {"kind": "not_json"},
    {"kind": "wild_time", "offset_ms": -60_000},
    {"kind": "not_json", "body": "[" * 30_000},
    {"kind": "json_not_object"},
    {"kind": "json_not_object", "body": '{"topic": "tickers.BTCUSDT"}'},
    {"kind": "json_not_object", "body": '{"success": "yes", "op": "subscribe"}'},
    {"kind": "nonsense", "field": "ts", "value": None},
    {"kind": "nonsense", "field": "ts", "value": 4_000_000_000_000},
    {"kind": "nonsense", "field": "symbol", "value": "ETHUSDT"},
    {"kind": "nonsense", "field": "data", "value": []},
    {"kind": "nonsense", "field": "topic", "value": "tickers.NONEUSDT"},
    {"kind": "wild_time", "offset_ms": 60_000},
    {"kind": "old_answer", "seconds": "60"},
    {"kind": "hang_before"},
]


def shown_first(values: list[dict[str, Any]], number: int) -> list[Any]:
    """All but the first are slow: they tell the same of other garbage."""
    return [
        pytest.param(
            value,
            id="-".join(str(one)[:20] for one in value.values()),
            marks=() if at < number else pytest.mark.slow,
        )
        for at, value in enumerate(values)
    ]


@pytest.mark.parametrize("fault", shown_first(USELESS, 2))
async def test_what_is_of_no_use_moves_no_price_and_is_silence_in_the_end(fault: dict[str, Any]) -> None:
    async with opened("BTC") as (exchange, stream):
        await until(lambda: "BTC" in stream.prices)
        strike(exchange, **fault)
        exchange.set_price("BTC", Decimal(100))
        await until(lambda: stream.why_lost is not None)
        assert stream.prices == {"USDT": 1}
        assert str(stream.why_lost).startswith("no price for 0.5 s")
        exchange.clear_faults()
        await until(lambda: stream.prices.get("BTC") == 100)
        await until(lambda: stream.why_lost is None)


@pytest.mark.parametrize("price", ["NaN", "-1", "0", "1e40", "Infinity", "", None, True, [], "9" * 50])
def test_a_price_that_none_can_be_is_none(price: object) -> None:
    data = {"symbol": "BTCUSDT", "lastPrice": price, "usdIndexPrice": price}
    message = {"topic": "tickers.BTCUSDT", "ts": 1_700_000_000_000, "data": data}

    with pytest.raises(MalformedPayload):
        parse_message(json.dumps(message))


def test_the_price_is_the_index_or_else_the_last_one_and_no_number_is_ever_a_float() -> None:
    data = {"symbol": "BTCUSDT", "lastPrice": 5e-3, "usdIndexPrice": ""}
    message = {"topic": "tickers.BTCUSDT", "ts": 1_700_000_000_000, "cs": 7, "data": data}

    assert parse_message(json.dumps(message)) == tick(Decimal("0.005"), 1_700_000_000_000, 7)
    data["usdIndexPrice"] = "21109.77"
    assert parse_message(json.dumps(message)) == tick(Decimal("21109.77"), 1_700_000_000_000, 7)


CUTS: list[dict[str, Any]] = [
    {"kind": "close_before", "times": 1},
    {"kind": "close_before", "reset": True, "times": 1},
    {"kind": "padding", "size": 100_000, "times": 1},
]


@pytest.mark.parametrize("fault", shown_first(CUTS, 1))
async def test_a_connection_that_ends_is_made_anew(fault: dict[str, Any]) -> None:
    async with opened("BTC") as (exchange, stream):
        await until(lambda: "BTC" in stream.prices)
        strike(exchange, **fault)
        await until(lambda: stream.why_lost is not None)
        exchange.set_price("BTC", Decimal(47000))
        await until(lambda: stream.prices.get("BTC") == 47000)
        await until(lambda: stream.why_lost is None)
        assert asked(exchange) == 2


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"kind": "close_before"}, "ServerDisconnectedError"),
        pytest.param({"kind": "hang_before"}, "no price", marks=pytest.mark.slow),
        ({"kind": "http_error", "status": 502}, "HTTP 502"),
        ({"kind": "redirect", "status": 302, "location": "/v5/public/spot"}, "redirect (HTTP 302)"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_where_there_is_no_stream_it_is_tried_again_later_and_later(
    fault: dict[str, Any], why: str
) -> None:
    async with opened() as (exchange, stream):
        strike(exchange, endpoint="stream", **fault)
        stream.follow(["BTC"])
        await until(lambda: asked(exchange) >= 3)
        assert why in str(stream.why_lost)
        exchange.clear_faults()
        await until(lambda: "BTC" in stream.prices)


async def test_no_connection_is_tried_while_the_address_is_banned_nor_again_where_it_answers_403() -> None:
    async with opened("BTC", ban=Ban("sandbox", remaining_s=60)) as (exchange, stream):
        await until(lambda: stream.why_lost is not None)
        assert asked(exchange) == 0
    async with opened() as (exchange, stream):
        strike(exchange, "http_error", "stream", status=403)
        stream.follow(["BTC"])
        await until(lambda: stream.why_lost == "it answers HTTP 403")
        await asyncio.sleep(4 * PACES.longest_wait_s)
        assert asked(exchange) == 1


async def test_a_flood_costs_little_and_the_latest_price_wins() -> None:
    async with opened("BTC") as (exchange, stream):
        await until(lambda: "BTC" in stream.prices)
        strike(exchange, "flood", size=100)  # a thousand and more a second, for it is told ten times
        news: list[frozenset[str]] = []

        async def heard() -> None:
            while True:
                news.append(await stream.moved())

        hearing = asyncio.create_task(heard())
        for price in range(40_000, 40_010):
            exchange.set_price("BTC", Decimal(price))
            await until(lambda price=price: stream.prices.get("BTC") == price)
        await asyncio.sleep(0.1)  # all of it has come
        hearing.cancel()
        assert stream.why_lost is None
        assert news == [{"BTC"}] * len(news)  # of a thousand messages those alone that tell another price
        assert len(news) <= 11


async def test_more_than_any_exchange_sends_ends_the_connection() -> None:
    paces = StreamPaces(**{**_fields(PACES), "most_a_second": 50_000})
    async with opened("BTC", paces=paces) as (exchange, stream):
        await until(lambda: "BTC" in stream.prices)
        strike(exchange, "flood", size=1000, times=1)
        await until(lambda: "characters in a second" in str(stream.why_lost))
        await until(lambda: "BTC" in stream.prices)


def _fields(paces: StreamPaces) -> dict[str, Any]:
    return {name: getattr(paces, name) for name in StreamPaces.__dataclass_fields__}


@pytest.mark.slow
async def test_a_fault_that_comes_again_before_it_was_steady_is_the_same_fault() -> None:
    async with opened("BTC") as (exchange, stream):
        await until(lambda: "BTC" in stream.prices)
        strike(exchange, "close_before", times=1)
        await until(lambda: stream.why_lost is not None)
        for _ in range(3):
            await until(lambda: "BTC" in stream.prices)
            assert stream.why_lost is not None
            strike(exchange, "close_before", times=1)
            await until(lambda: "BTC" not in stream.prices)
        await until(lambda: stream.why_lost is None)


async def test_the_heartbeat_is_sent_and_its_answer_asked_for() -> None:
    async with opened() as (exchange, stream):
        strike(exchange, "ret_code", "stream", value="NONE")
        stream.follow(["NONE"])  # refused, so that nothing but the heartbeat tells that it lives
        await asyncio.sleep(3 * (PACES.ping_s + PACES.silence_s))
        assert (stream.why_lost, asked(exchange)) == (None, 1)


def test_it_waits_longer_after_each_failure_up_to_a_bound_and_never_as_long_as_another() -> None:
    paces = StreamPaces(first_wait_s=1, longest_wait_s=30)
    one, other = (
        SpotPrices("ws://x", clock=ExchangeClock(), ban=Ban("x"), paces=paces, chance=random.Random(seed))
        for seed in (1, 2)
    )
    waits = [one._wait_s(Failure("closed")) for _ in range(20)]

    assert all(2**at / 2 <= wait <= 2**at for at, wait in enumerate(waits[:5]))
    assert all(15 <= wait <= 30 for wait in waits[5:])
    assert other._wait_s(Failure("closed")) != waits[0]
    one._is_steady()
    assert one._wait_s(Failure("closed")) <= 1
    assert one._wait_s(Failure("banned", rest_s=600)) == 600


# What is taken for a price of now


def tick(price: Decimal | int, at_ms: int, sequence: int = 0, coin: str = "BTC") -> Tick:
    return Tick(coin=coin, price=Decimal(price), at_ms=at_ms, sequence=sequence)


def test_what_is_older_than_the_last_or_not_followed_is_dropped() -> None:
    latest = LatestPrices(ExchangeClock())
    latest.follow(["BTC"])
    now = int(time.time() * 1000)

    assert [latest.take(item) for item in (tick(5, now, 7), tick(6, now - 1), tick(7, now, 6))] == [
        True,
        False,
        False,
    ]
    assert not latest.take(tick(5, now, coin="ETH"))
    assert latest.take(tick(8, now, 7))
    assert (latest.moved(), latest.moved()) == ({"BTC"}, frozenset())
    assert latest.prices == {"USDT": 1, "BTC": 8}


def test_the_same_price_again_is_no_news() -> None:
    latest = LatestPrices(ExchangeClock())
    latest.follow(["BTC"])
    latest.take(tick(5, 1_700_000_000_000))
    latest.moved()

    assert latest.take(tick(5, 1_700_000_000_001))
    assert latest.moved() == frozenset()
