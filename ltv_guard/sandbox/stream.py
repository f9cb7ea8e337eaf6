"""The public spot price stream (v5/websocket/public/ticker): subscribe, ping, snapshots.

A new price is told at once, and every price ten times a second, as the exchange does.

Faults reach it by the endpoint `stream`: close_before (turned away), hang_before (never says anything),
close_after (cut off after `seconds`), http_error and redirect (no websocket there), ret_code (`value`: a
coin that no subscription may name, for `seconds` or for ever). What goes wrong with single prices is in
tick_faults.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web

from ltv_guard.sandbox import mishaps, public_payloads, tick_faults
from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.faults import Fault, Target

PATH = "/v5/public/spot"
MOST_TOPICS = 10
PERIOD_S = 0.02
REPEATED_EVERY_MS = 100


class Stream:
    """Serves one exchange's prices to any number of subscribers."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._open: set[web.WebSocketResponse] = set()
        self._sequence = 0

    async def close(self) -> None:
        """Says goodbye to every subscriber."""
        for socket in list(self._open):
            await socket.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Talk to one subscriber until it leaves or a fault cuts it off."""
        exchange = self.exchange
        exchange.requests[f"GET {PATH}"] += 1
        exchange.callers[request.remote or ""] += 1
        faults = exchange.faults.take(Target(endpoint="stream", path=PATH), exchange.clock.real_s())
        struck = {fault.kind: fault for fault in faults}
        if fault := struck.get("close_before"):
            return await mishaps.lose(request, fault)
        if fault := struck.get("http_error"):
            return web.Response(status=fault.status)
        if fault := struck.get("redirect"):
            return mishaps.redirect(fault)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._open.add(socket)
        cut = struck.get("close_after")
        try:
            async with asyncio.timeout(mishaps.duration_s(cut) if cut else None):
                await self._talk(socket, mute="hang_before" in struck, refused=struck.get("ret_code"))
        except (TimeoutError, _Cut) as cut_off:
            await mishaps.lose(request, cut_off.fault if isinstance(cut_off, _Cut) else struck["close_after"])
        finally:
            self._open.discard(socket)
        return socket

    async def _talk(self, socket: web.WebSocketResponse, *, mute: bool, refused: Fault | None) -> None:
        topics: set[str] = set()
        tasks = [
            asyncio.create_task(self._push(socket, topics)),
            asyncio.create_task(self._listen(socket, topics, mute=mute, refused=refused)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _listen(
        self, socket: web.WebSocketResponse, topics: set[str], *, mute: bool, refused: Fault | None
    ) -> None:
        clock = self.exchange.clock
        ends_s = clock.real_s() + refused.seconds if refused and refused.seconds is not None else None
        async for message in socket:
            if ends_s is not None and clock.real_s() >= ends_s:
                refused = None
            if message.type is WSMsgType.TEXT and not mute:
                answer = _answer(message.data, topics, refused)
                self.exchange.requests[f"stream {answer['op']}"] += 1
                await socket.send_json(answer)

    async def _push(self, socket: web.WebSocketResponse, topics: set[str]) -> None:
        told: dict[str, tuple[str, int]] = {}
        with contextlib.suppress(ConnectionError):
            while True:
                for text in self._news(topics, told):
                    await socket.send_str(text)
                await asyncio.sleep(PERIOD_S)

    def _news(self, topics: set[str], told: dict[str, tuple[str, int]]) -> Iterator[str]:
        moment = self.exchange.moment()
        for topic in sorted(topics):
            coin = topic.removeprefix("tickers.").removesuffix("USDT")
            if coin not in moment.prices:
                continue
            price, at_ms = told.get(topic, ("", 0))
            now = public_payloads.ticker(coin, moment.prices)["lastPrice"]
            if now != price or moment.time_ms - at_ms >= REPEATED_EVERY_MS:
                told[topic] = (now, moment.time_ms)
                yield from self._texts(topic, coin)

    def _texts(self, topic: str, coin: str) -> list[str]:
        """What is told of a coin: its price as it is now, or what the faults make of it."""
        exchange = self.exchange
        target = Target(endpoint="ticks", path=PATH, loan_id=coin)
        faults = exchange.faults.take(target, exchange.clock.real_s())
        if fault := next((fault for fault in faults if fault.kind == "close_before"), None):
            raise _Cut(fault)
        moment = exchange.moment(exchange.clock.real_s() - tick_faults.age_s(faults))
        self._sequence += 1
        snapshot = {"topic": topic, "ts": moment.time_ms, "type": "snapshot", "cs": self._sequence}
        return tick_faults.texts({**snapshot, "data": public_payloads.ticker(coin, moment.prices)}, faults)


class _Cut(Exception):
    """A fault ends the connection."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault


def _answer(text: str, topics: set[str], refused: Fault | None) -> dict[str, Any]:
    """Answers a subscription or a ping, and remembers what was subscribed to."""
    try:
        asked = json.loads(text)
        operation, args = asked["op"], [str(topic) for topic in asked.get("args", [])]
        named = {"req_id": str(asked["req_id"])} if "req_id" in asked else {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return _told("", "not an operation", success=False)
    return named | _obey(str(operation), args, topics, refused)


def _obey(operation: str, args: list[str], topics: set[str], refused: Fault | None) -> dict[str, Any]:
    match operation:
        case "ping":
            return _told("ping", "pong", success=True)
        case "subscribe" if refused is not None and f"tickers.{refused.value}USDT" in args:
            return _told("subscribe", "Invalid symbol", success=False)
        case "subscribe" if len(args) <= MOST_TOPICS and all(topic.startswith("tickers.") for topic in args):
            topics.update(args)
            return _told("subscribe", "subscribe", success=True)
        case "unsubscribe":
            topics.difference_update(args)
            return _told("unsubscribe", "", success=True)
    return _told(operation, "refused", success=False)


def _told(operation: str, message: str, *, success: bool) -> dict[str, Any]:
    return {"success": success, "ret_msg": message, "conn_id": str(uuid4()), "op": operation}
