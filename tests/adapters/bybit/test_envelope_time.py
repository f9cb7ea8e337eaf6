"""An answer of another time: found wherever its `time` stands, judged by the exchange's clock, hung up on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from ltv_guard.adapters.bybit import ExchangeClock
from ltv_guard.adapters.bybit.envelope_time import apart_ms, time_of
from ltv_guard.core.model.errors import ExchangeUnavailable, WriteOutcomeUnknown
from ltv_guard.core.model.loans import Moment

if TYPE_CHECKING:
    from conftest import Exchange, Parts, Seen

    Connect = Callable[..., Parts]

NOW = 1_700_000_000_000
PATH = "/v5/crypto-loan/ongoing-orders"
ADJUST = "/v5/crypto-loan/adjust-ltv"
TIME = "/v5/market/time"


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (f'{{"retCode": 0, "result": {{}}, "time": {NOW}}}', NOW),
        (f'{{"retCode":0,"result":{{}},"time":"{NOW}"}}\n', NOW),
        (f'{{"time":{NOW},"retCode":0,"result":{{"list":[]}}}}', NOW),
        (f'{{"retCode":0,"result":{{"time":{NOW}}}}}', None),
        (f'{{"retCode":0,"result":{{"time":{NOW}}},"time":{NOW + 1}}}', NOW + 1),
        ('{"retCode":0,"result":{},"time":1}', None),
        ('{"retCode":0,"result":{},"time":9999999999999}', None),
        ('{"retCode":0,"result":{},"time":null}', None),
        ('{"retCode":0,"time":"soon"}', None),
        ('["time"]', None),
        ('{"time"', None),
        ("", None),
    ],
)
def test_the_time_of_an_answer_is_that_of_its_envelope(body: str, read: int | None) -> None:
    assert time_of(body.encode()) == read


@pytest.mark.parametrize(
    ("at_ms", "apart"),
    [
        (NOW - 3000, 0),
        (NOW - 3001, -3001),
        (NOW + 2000, 0),
        (NOW + 5000, 0),
        (NOW + 5001, 3001),
        (NOW - 40_000, -40_000),
    ],
)
def test_it_lies_between_the_request_and_the_answer_give_or_take(at_ms: int, apart: int) -> None:
    sent = Moment(exchange_ms=NOW, monotonic_ms=0)
    came = Moment(exchange_ms=NOW + 2000, monotonic_ms=2000)
    assert apart_ms(json.dumps({"retCode": 0, "time": at_ms}).encode(), sent, came) == apart


class Host:
    """An exchange whose clock shows `now_ms`, and whose answers carry `told_ms` at times."""

    def __init__(self, exchange: Exchange) -> None:
        self.now_ms = NOW
        self.told: list[int] = []
        exchange.handlers[TIME] = self.time
        for path in (PATH, ADJUST):
            exchange.handlers[path] = self.answer
        self.peers: list[object] = []

    def time(self, _: Seen) -> web.Response:
        nano = str(self.now_ms * 1_000_000)
        return web.json_response({"retCode": 0, "result": {"timeNano": nano}, "time": 1_600_000_000_000})

    def answer(self, _: Seen) -> web.Response:
        at_ms = self.told.pop(0) if self.told else self.now_ms
        return web.json_response({"retCode": 0, "result": {"adjustId": "7"}, "time": at_ms})


class Time:
    """A monotonic clock that stands still unless it is set."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


async def trusted(exchange: Exchange, connect: Connect, time: Time) -> Parts:
    parts = connect(exchange.url, clock=ExchangeClock(monotonic=time, sleep=no_sleep))
    await parts.client.measure_clock()
    time.seconds += 60
    return parts


async def no_sleep(_: float) -> None:
    return


@pytest.mark.case(45)
async def test_an_answer_of_another_time_is_read_again_and_its_connection_closed(
    exchange: Exchange, connect: Connect
) -> None:
    host, time = Host(exchange), Time()
    parts = await trusted(exchange, connect, time)
    host.now_ms += 60_000
    host.told = [host.now_ms - 40_000]
    assert await parts.client.get(PATH) == {"adjustId": "7"}
    assert len(exchange.requests(PATH)) == 2
    assert len(exchange.requests(TIME)) == 10  # the clock was measured anew: it is as it was


@pytest.mark.case(45)
async def test_answers_that_stay_old_are_a_failed_read_and_the_clock_is_measured_once(
    exchange: Exchange, connect: Connect
) -> None:
    host, time = Host(exchange), Time()
    parts = await trusted(exchange, connect, time)
    host.now_ms += 60_000
    host.told = [host.now_ms - 40_000] * 9
    with pytest.raises(ExchangeUnavailable, match=r"40\.0 s before the request: it belongs to another"):
        await parts.client.get(PATH)
    assert len(exchange.requests(TIME)) == 10
    assert parts.clock.is_trusted


@pytest.mark.case(45)
@pytest.mark.parametrize("step_ms", [90_000, -90_000])
async def test_a_clock_that_was_set_is_measured_and_believed(
    exchange: Exchange, connect: Connect, step_ms: int
) -> None:
    host, time = Host(exchange), Time()
    parts = await trusted(exchange, connect, time)
    host.now_ms += 60_000 + step_ms
    assert await parts.client.get(PATH, signed=False) == {"adjustId": "7"}
    assert abs(parts.clock.now().exchange_ms - host.now_ms) < 2


@pytest.mark.case(45)
async def test_a_write_whose_answer_is_of_another_time_is_unknown(
    exchange: Exchange, connect: Connect, body: bytes
) -> None:
    host, time = Host(exchange), Time()
    parts = await trusted(exchange, connect, time)
    host.now_ms += 60_000
    host.told = [host.now_ms - 40_000]
    signed = await parts.client.sign(ADJUST, body)
    with pytest.raises(WriteOutcomeUnknown, match="belongs to another"):
        await parts.client.send(ADJUST, body, signed.headers)
    assert len(exchange.requests(ADJUST)) == 1


async def test_before_the_clock_was_measured_no_answer_is_judged(
    exchange: Exchange, connect: Connect
) -> None:
    host = Host(exchange)
    host.told = [1_500_000_000_000]
    assert await connect(exchange.url).client.get(PATH) == {"adjustId": "7"}
