"""The public spot price stream (v5/websocket/public/ticker): subscribe, ping, a snapshot for every new price.

Faults reach it by the endpoint `stream`: close_before (turned away), hang_before (never says anything),
close_after (cut off after `seconds`).
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web

from . import mishaps, public_payloads
from .exchange import Exchange
from .faults import Target

PATH = "/v5/public/spot"
MOST_TOPICS = 10
PERIOD_S = 0.05


class Stream:
    """Serves one exchange's prices to any number of subscribers."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._open: set[web.WebSocketResponse] = set()

    async def close(self) -> None:
        """Say goodbye to every subscriber."""
        for socket in list(self._open):
            await socket.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Talk to one subscriber until it leaves or a fault cuts it off."""
        exchange = self.exchange
        exchange.requests[f"GET {PATH}"] += 1
        faults = exchange.faults.take(Target(endpoint="stream", path=PATH), exchange.clock.real_s())
        struck = {fault.kind: fault for fault in faults}
        if fault := struck.get("close_before"):
            return await mishaps.lose(request, fault)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._open.add(socket)
        cut = struck.get("close_after")
        try:
            async with asyncio.timeout(mishaps.duration_s(cut) if cut else None):
                await self._talk(socket, mute="hang_before" in struck)
        except TimeoutError:
            if request.transport:
                request.transport.abort()
        finally:
            self._open.discard(socket)
        return socket

    async def _talk(self, socket: web.WebSocketResponse, *, mute: bool) -> None:
        topics: set[str] = set()
        pushing = asyncio.create_task(self._push(socket, topics))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and not mute:
                    await socket.send_json(_answer(message.data, topics))
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)

    async def _push(self, socket: web.WebSocketResponse, topics: set[str]) -> None:
        told: dict[str, str] = {}
        with contextlib.suppress(ConnectionError):
            while True:
                for snapshot in self._news(topics, told):
                    await socket.send_json(snapshot)
                await asyncio.sleep(PERIOD_S)

    def _news(self, topics: set[str], told: dict[str, str]) -> Iterator[dict[str, Any]]:
        moment = self.exchange.moment()
        for topic in sorted(topics):
            coin = topic.removeprefix("tickers.").removesuffix("USDT")
            if coin not in moment.prices:
                continue
            data = public_payloads.ticker(coin, moment.prices)
            if told.get(topic) != data["lastPrice"]:
                told[topic] = data["lastPrice"]
                yield {"topic": topic, "ts": moment.time_ms, "type": "snapshot", "cs": 0, "data": data}


def _answer(text: str, topics: set[str]) -> dict[str, Any]:
    """Answer a subscription or a ping, and remember what was subscribed to."""
    try:
        asked = json.loads(text)
        operation, args = asked["op"], [str(topic) for topic in asked.get("args", [])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return _told("", "not an operation", success=False)
    match operation:
        case "ping":
            return _told("ping", "pong", success=True)
        case "subscribe" if len(args) <= MOST_TOPICS and all(topic.startswith("tickers.") for topic in args):
            topics.update(args)
            return _told("subscribe", "subscribe", success=True)
        case "unsubscribe":
            topics.difference_update(args)
            return _told("unsubscribe", "", success=True)
    return _told(str(operation), "refused", success=False)


def _told(operation: str, message: str, *, success: bool) -> dict[str, Any]:
    return {"success": success, "ret_msg": message, "conn_id": str(uuid4()), "op": operation}
