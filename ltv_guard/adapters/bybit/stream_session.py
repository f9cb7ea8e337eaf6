"""One connection to the price stream: subscriptions, heartbeat, silence, floods (v5/ws/connect)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import aiohttp

from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.latest_prices import LatestPrices
from ltv_guard.adapters.bybit.stream_wire import Reply, parse_message, request

TOPICS_A_REQUEST = 10
AT_A_TIME = 50  # messages that are read before others have their turn


class StreamLost(Exception):
    """The connection is of no use any more; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPaces:
    """Spans in seconds, sizes in characters.

    `silence_s` without a price is a fault; `steady_s` without a fault is the end of one. A coin that was
    refused is asked for again each `again_s`: a connection may last for days. `most_a_second` is
    many times what an exchange sends: beyond it the connection is given up.
    """

    ping_s: float = 20.0
    silence_s: float = 4.0
    steady_s: float = 5.0
    connect_s: float = 5.0
    close_s: float = 0.5
    look_s: float = 0.5
    again_s: float = 60.0
    first_wait_s: float = 0.25
    longest_wait_s: float = 30.0
    largest: int = 64 * 1024
    most_a_second: int = 4 * 1024 * 1024


class StreamSession:
    """Reads into `latest`, and sets `news` for what is new. `asked` says that other coins are followed."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse[bool],
        latest: LatestPrices,
        paces: StreamPaces,
        news: asyncio.Event,
        asked: asyncio.Event,
    ) -> None:
        self._socket = socket
        self._latest = latest
        self._paces = paces
        self._news = news
        self._asked = asked
        self._subscribed: frozenset[str] = frozenset()
        self._refused: set[str] = set()
        self._requests: dict[str, tuple[str, ...]] = {}
        self._began = self._heard = self._pinged = self._second = self._priced = time.monotonic()
        self._asked_again = self._began
        self._this_second = 0
        self._useless = 0

    async def run(self, *, steady: Callable[[], None]) -> None:
        """Returns where nothing is followed any more. Raises StreamLost, or what the connection raises."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep(steady))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self) -> None:
        read = 0
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.ERROR:
                raise StreamLost(f"the connection broke: {message.data!r:.200}")
            self._bound(len(message.data or ""))
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._take(message.data)
            read += 1
            if read % AT_A_TIME == 0:
                await asyncio.sleep(0)
        raise StreamLost(f"the exchange closed the connection ({self._socket.close_code})")

    def _bound(self, size: int) -> None:
        """What a message costs is its size, and what may be spent in a second is bounded."""
        now = time.monotonic()
        if now - self._second >= 1:
            self._second, self._this_second = now, 0
        self._this_second += size
        if self._this_second > self._paces.most_a_second:
            raise StreamLost(f"it sent more than {self._paces.most_a_second} characters in a second")

    async def _take(self, text: str) -> None:
        self._heard = time.monotonic()
        try:
            told = parse_message(text)
        except MalformedPayload:
            self._useless += 1
            return
        if isinstance(told, Reply):
            await self._heed(told)
        elif self._latest.take(told):
            self._priced = self._heard
            if self._latest.has_moved:
                self._news.set()
        else:
            self._useless += 1

    async def _heed(self, reply: Reply) -> None:
        """A request that is refused is made again for each coin: one that has no market costs only itself."""
        coins = self._requests.pop(reply.request or "", ())
        if reply.operation != "subscribe":
            return
        if reply.succeeded:
            self._refused.difference_update(coins)
            return
        if len(coins) == 1:
            self._refused.update(coins)
        for name in coins if len(coins) > 1 else ():
            await self._ask("subscribe", (name,))

    async def _keep(self, steady: Callable[[], None]) -> None:
        while self._latest.coins:
            self._asked.clear()
            await self._subscribe()
            now = time.monotonic()
            if now - self._pinged >= self._paces.ping_s:
                self._pinged = now
                await self._socket.send_str(request("ping"))
            if now - self._asked_again >= self._paces.again_s:
                self._asked_again = now
                for name in sorted(self._refused & self._latest.coins):
                    await self._ask("subscribe", (name,), f"again-{name}")
            self._check(now)
            if now - self._began >= self._paces.steady_s:
                steady()
            await _either(self._asked, self._paces.look_s)

    def _check(self, now: float) -> None:
        """Prices are told many times a second; where none can come, an answer to the heartbeat must."""
        if not self._latest.coins - self._refused:
            self._priced = now
        if now - self._priced > self._paces.silence_s:
            dropped = f"; {self._useless} messages were of no use" if self._useless else ""
            raise StreamLost(f"no price for {self._paces.silence_s:g} s{dropped}")
        if now - self._heard > self._paces.ping_s + self._paces.silence_s:
            raise StreamLost("no answer to the heartbeat")

    async def _subscribe(self) -> None:
        wanted = self._latest.coins
        for operation, coins in (
            ("unsubscribe", self._subscribed - wanted),
            ("subscribe", wanted - self._subscribed),
        ):
            names = sorted(coins)
            for start in range(0, len(names), TOPICS_A_REQUEST):
                await self._ask(operation, tuple(names[start : start + TOPICS_A_REQUEST]))
        self._subscribed = wanted

    async def _ask(self, operation: str, coins: Collection[str], request_id: str = "") -> None:
        request_id = request_id or f"{operation}-{time.monotonic_ns()}"
        self._requests[request_id] = tuple(coins)
        await self._socket.send_str(request(operation, coins, request_id))


async def _either(asked: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await asked.wait()
    except TimeoutError:
        pass
