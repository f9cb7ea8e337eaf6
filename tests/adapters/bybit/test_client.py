"""The client over a real socket: signatures, tries, bans, clocks, and that a write goes out once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from ltv_guard.adapters.bybit import Ban, ExchangeClock, RequestLimits
from ltv_guard.adapters.bybit.windows import Priority
from ltv_guard.adapters.bybit.write_pace import WritePace
from ltv_guard.core.model.errors import (
    ExchangeBanned,
    ExchangeUnavailable,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriteRejected,
)

if TYPE_CHECKING:
    from conftest import Exchange, Parts, Seen

    Connect = Callable[..., Parts]

ADJUST = "/v5/crypto-loan/adjust-ltv"
MAXIMUM = "/v5/crypto-loan/max-collateral-amount"
WALLET = "/v5/asset/transfer/query-account-coins-balance"
TIME = "/v5/market/time"
TICKERS = "/v5/market/tickers"
SERVER_MS = 1_700_000_000_123


def is_signed(seen: Seen) -> bool:
    """Whether the signature covers the bytes that came over the wire."""
    payload = seen.body if seen.method == "POST" else seen.query.encode()
    stamp, window = seen.headers["X-BAPI-TIMESTAMP"], seen.headers["X-BAPI-RECV-WINDOW"]
    text = f"{stamp}key{window}".encode() + payload
    return hmac.new(b"secret", text, hashlib.sha256).hexdigest() == seen.headers["X-BAPI-SIGN"]


async def test_the_signature_covers_the_bytes_on_the_wire(
    exchange: Exchange, connect: Connect, body: bytes
) -> None:
    exchange.answer(WALLET, {"balance": []})
    exchange.answer(ADJUST, {"adjustId": "7"})
    client = connect(exchange.url).client
    await client.get(WALLET, {"accountType": "FUND", "coin": "BTC,USDT"})
    signed = await client.sign(ADJUST, body)
    assert await client.send(ADJUST, body, signed.headers) == "7"
    read, write = exchange.requests(WALLET)[0], exchange.requests(ADJUST)[0]
    assert read.query == "accountType=FUND&coin=BTC%2CUSDT"
    assert write.body == body
    assert is_signed(read)
    assert is_signed(write)


async def test_public_reads_carry_no_key(exchange: Exchange, connect: Connect) -> None:
    exchange.answer("/v5/market/tickers", {"list": []})
    await connect(exchange.url).client.get("/v5/market/tickers", {"category": "spot"}, signed=False)
    assert not [name for name in exchange.seen[0].headers if name.upper().startswith("X-BAPI")]


async def test_a_write_is_signed_with_the_exchanges_time(
    exchange: Exchange, connect: Connect, body: bytes
) -> None:
    parts = connect(exchange.url)
    signed = await parts.client.sign(ADJUST, body)
    assert len(exchange.requests(TIME)) == 5
    assert abs(signed.signed_at_ms - SERVER_MS) < 10_000
    assert signed.headers["X-BAPI-TIMESTAMP"] == str(signed.signed_at_ms)
    assert signed.headers["X-BAPI-RECV-WINDOW"] == str(signed.recv_window_ms) == "5000"


async def test_a_read_is_tried_again_and_signed_anew(exchange: Exchange, connect: Connect) -> None:
    exchange.answer(MAXIMUM, web.Response(status=502, body=b"<html>"), 10016, {"maxCollateralAmount": "1"})
    found = await connect(exchange.url).client.get(MAXIMUM, {"orderId": "1"})
    assert found == {"maxCollateralAmount": "1"}
    assert len(exchange.requests(MAXIMUM)) == 3
    assert all(is_signed(seen) for seen in exchange.requests(MAXIMUM))


async def test_many_reads_at_once_do_not_share_their_tries(exchange: Exchange, connect: Connect) -> None:
    failed: set[str] = set()

    def flaky(seen: Seen) -> web.Response:
        order = seen.params["orderId"]
        if order in failed:
            return web.json_response({"retCode": 0, "result": {"maxCollateralAmount": order}})
        failed.add(order)
        return web.Response(status=500)

    exchange.handlers[MAXIMUM] = flaky
    client = connect(exchange.url).client
    found = await asyncio.gather(*(client.get(MAXIMUM, {"orderId": str(n)}) for n in range(20)))
    assert [result["maxCollateralAmount"] for result in found] == [str(n) for n in range(20)]


async def test_no_further_try_begins_once_the_time_is_up(exchange: Exchange, connect: Connect) -> None:
    async def hangs(_: Seen) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    exchange.handlers[MAXIMUM] = hangs
    with pytest.raises(ExchangeUnavailable, match="no answer in time"):
        await connect(exchange.url, request_timeout_s=0.2).client.get(MAXIMUM)
    assert len(exchange.requests(MAXIMUM)) <= 2


async def test_a_write_is_never_sent_twice(exchange: Exchange, connect: Connect, body: bytes) -> None:
    client = connect(exchange.url).client
    signed = await client.sign(ADJUST, body)
    for count, answer in enumerate(
        [web.Response(status=500), web.Response(body=b""), 10016, 10006, 10000], 1
    ):
        exchange.answer(ADJUST, answer)
        with pytest.raises(WriteOutcomeUnknown):
            await client.send(ADJUST, body, signed.headers)
        assert len(exchange.requests(ADJUST)) == count


async def test_a_write_that_lost_its_answer_is_unknown_in_time(
    exchange: Exchange, connect: Connect, body: bytes
) -> None:
    async def hangs(_: Seen) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    exchange.handlers[ADJUST] = hangs
    with pytest.raises(WriteOutcomeUnknown, match="no answer in time"):
        await connect(exchange.url, request_timeout_s=0.3).client.send(ADJUST, body, {})
    assert len(exchange.requests(ADJUST)) == 1


async def test_403_stops_every_request_to_the_host(exchange: Exchange, connect: Connect, body: bytes) -> None:
    ban = Ban("127.0.0.1")
    one, other = connect(exchange.url, ban=ban).client, connect(exchange.url, ban=ban).client
    signed = await other.sign(ADJUST, body)
    exchange.answer(MAXIMUM, web.Response(status=403, body=b"<html>Access too frequent</html>"))
    with pytest.raises(ExchangeBanned) as caught:
        await one.get(MAXIMUM)
    assert 590 < caught.value.retry_in_s <= 600
    asked = len(exchange.seen)
    for client in (one, other):
        with pytest.raises(ExchangeBanned):
            await client.get(WALLET)
        with pytest.raises(ExchangeBanned):
            await client.get("/v5/market/tickers", signed=False)
        with pytest.raises(ExchangeBanned):
            await client.server_time()
        with pytest.raises(ExchangeBanned):
            await client.measure_clock()
        with pytest.raises(ExchangeBanned):
            await client.sign(ADJUST, body)
        with pytest.raises(WriteNotSent):
            await client.send(ADJUST, body, signed.headers)
    assert len(exchange.seen) == asked


async def test_403_to_a_write_is_unknown_and_a_ban(exchange: Exchange, connect: Connect, body: bytes) -> None:
    parts = connect(exchange.url)
    exchange.answer(ADJUST, web.Response(status=403))
    with pytest.raises(WriteOutcomeUnknown):
        await parts.client.send(ADJUST, body, {})
    assert parts.ban.remaining_s > 590


async def test_a_ban_that_begins_while_a_write_waits_its_turn_keeps_it_unsigned(
    exchange: Exchange, connect: Connect, body: bytes
) -> None:
    ban = Ban("127.0.0.1")

    class Waiting(RequestLimits):
        async def enter(self, path: str, priority: Priority, *, kept: int = 0) -> None:
            await super().enter(path, priority, kept=kept)
            ban.begin()

    client = connect(exchange.url, ban=ban, limits=Waiting()).client
    await client.measure_clock()
    with pytest.raises(ExchangeBanned):
        await client.sign(ADJUST, body)


async def test_a_refused_timestamp_has_the_clock_measured_and_the_read_tried_again(
    exchange: Exchange, connect: Connect
) -> None:
    wall_s = SERVER_MS / 1000 - 90
    clock = ExchangeClock(wall=lambda: wall_s)

    def strict(seen: Seen) -> web.Response:
        late = abs(int(seen.headers["X-BAPI-TIMESTAMP"]) - SERVER_MS) > 5000
        return web.json_response({"retCode": 10002 if late else 0, "retMsg": "time", "result": {"ok": "1"}})

    exchange.handlers[MAXIMUM] = strict
    parts = connect(exchange.url, clock=clock)
    assert await parts.client.get(MAXIMUM) == {"ok": "1"}
    assert len(exchange.requests(MAXIMUM)) == 2
    assert len(exchange.requests(TIME)) == 5
    assert abs(clock.wall_skew_ms - 90_000) < 5000


async def test_after_a_refused_timestamp_no_write_is_signed_before_the_clock_is_measured(
    exchange: Exchange, connect: Connect, body: bytes
) -> None:
    parts = connect(exchange.url)
    signed = await parts.client.sign(ADJUST, body)
    exchange.answer(ADJUST, 10002)
    with pytest.raises(WriteRejected):
        await parts.client.send(ADJUST, body, signed.headers)
    exchange.answer(TIME, web.Response(status=500))
    exchange.answer(TICKERS, web.Response(status=500))
    with pytest.raises(ExchangeUnavailable):
        await parts.client.sign(ADJUST, body)
    exchange.answer(TIME, {"timeNano": f"{SERVER_MS}000000"})
    await parts.client.sign(ADJUST, body)
    assert parts.clock.is_trusted


@pytest.mark.parametrize("result", [{}, {"timeNano": "soon"}, {"timeNano": None}, [1]])
async def test_a_server_time_that_makes_no_sense_is_unavailable(
    exchange: Exchange, connect: Connect, result: object
) -> None:
    exchange.answer(TIME, result)
    with pytest.raises(ExchangeUnavailable, match=TIME):
        await connect(exchange.url).client.server_time()


@pytest.mark.parametrize("answer", [{"timeNano": "soon"}, web.Response(status=500), web.Response(body=b"")])
async def test_while_the_time_is_not_told_another_answer_tells_it_and_writes_are_signed(
    exchange: Exchange, connect: Connect, body: bytes, answer: object
) -> None:
    frame = {"retCode": 0, "result": {"list": []}, "time": SERVER_MS}
    exchange.answer(TIME, answer)
    exchange.answer(TICKERS, web.json_response(frame))
    parts = connect(exchange.url)
    signed = await parts.client.sign(ADJUST, body)
    assert 0 <= signed.signed_at_ms - SERVER_MS < 5000
    asked = (len(exchange.requests(TIME)), len(exchange.requests(TICKERS)))
    assert asked == (1, 4)
    exchange.answer(TIME, {"timeNano": f"{SERVER_MS}000000"})
    await parts.client.measure_clock()
    assert len(exchange.requests(TICKERS)) == 4


async def test_a_limited_read_waits_for_the_reset(exchange: Exchange, connect: Connect) -> None:
    parts = connect(exchange.url)
    await parts.client.measure_clock()
    reset = str(parts.clock.now().exchange_ms + 3000)
    limited = web.json_response({"retCode": 10006}, headers={"x-bapi-limit-reset-timestamp": reset})
    exchange.answer(MAXIMUM, limited, {"maxCollateralAmount": "1"})
    await parts.client.get(MAXIMUM)
    assert 2 < sum(parts.holding.slept_s) <= 3


async def test_a_limited_write_holds_back_the_next_one_only(
    exchange: Exchange, connect: Connect, body: bytes
) -> None:
    parts = connect(exchange.url)
    exchange.answer(ADJUST, web.Response(status=429))
    exchange.answer(MAXIMUM, {"maxCollateralAmount": "1"})
    with pytest.raises(WriteOutcomeUnknown):
        await parts.client.send(ADJUST, body, {})
    await parts.client.get(MAXIMUM)
    assert parts.holding.slept_s == []
    await parts.client.sign(ADJUST, body)
    assert parts.holding.slept_s == [1.0]


async def test_a_closed_client_sends_nothing(exchange: Exchange, connect: Connect, body: bytes) -> None:
    exchange.answer(MAXIMUM, {})
    async with connect(exchange.url).client as client:
        await client.get(MAXIMUM)
        signed = await client.sign(ADJUST, body)
    asked = len(exchange.seen)
    with pytest.raises(WriteNotSent):
        await client.send(ADJUST, body, signed.headers)
    with pytest.raises(ExchangeUnavailable):
        await client.get(MAXIMUM)
    assert len(exchange.seen) == asked


async def test_when_a_writes_answer_was_made_is_told_to_those_who_pace_the_next(
    exchange: Exchange, connect: Connect, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int | None] = []

    def answered(_: WritePace, __: int, *, reads_ms: int, made_ms: int | None) -> float:
        made.append(made_ms)
        return 0.0

    monkeypatch.setattr(WritePace, "answered", answered)
    frame = '{{"retCode": 0, "retMsg": "OK", "result": {{"adjustId": "7"}}{}}}'
    times = [f', "time": {SERVER_MS}', f', "time": {SERVER_MS + 1_000_000}', ""]
    exchange.answer(ADJUST, *(web.Response(text=frame.format(time)) for time in times))
    client = connect(exchange.url).client
    for _ in times:
        signed = await client.sign(ADJUST, body)
        with contextlib.suppress(WriteOutcomeUnknown):  # a time of another request
            await client.send(ADJUST, body, signed.headers)
    first, second, untold = made
    assert first is not None
    assert second is not None
    assert 900_000 < second - first <= 1_000_000
    assert untold is None
