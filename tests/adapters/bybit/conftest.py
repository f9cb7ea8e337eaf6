"""A small exchange on a real socket, clients of it that need not wait, and a loop whose time is virtual."""

import asyncio
import json
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from ltv_guard.adapters.bybit import (
    Ban,
    BybitClient,
    Credentials,
    ExchangeClock,
    HmacSigner,
    Host,
    RequestLimits,
)

Handler = Callable[["Seen"], Awaitable[web.StreamResponse] | web.StreamResponse]

Main = Callable[[Callable[[], float]], Coroutine[Any, Any, list[float]]]

PATHS = [
    "/v5/crypto-loan/ongoing-orders",
    "/v5/crypto-loan/adjustment-history",
    "/v5/crypto-loan/max-collateral-amount",
    "/v5/crypto-loan/collateral-data",
    "/v5/crypto-loan/adjust-ltv",
    "/v5/user/query-api",
    "/v5/asset/transfer/query-account-coins-balance",
    "/v5/market/tickers",
    "/v5/crypto-loan/repay",
    "/v5/crypto-loan/repayment-history",
    "/v5/crypto-loan-flexible/repay",
    "/v5/crypto-loan-flexible/repayment-history",
    "/v5/asset/transfer/inter-transfer",
    "/v5/asset/transfer/query-inter-transfer-list",
    "/v5/crypto-loan-common/loanable-data",
    "/v5/crypto-loan/borrow-history",
]


@dataclass
class Seen:
    """One request as it came over the wire."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    params: dict[str, str]


@dataclass
class Exchange:
    """Answers each path with what a test put there; remembers every request."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    handlers: dict[str, Handler] = field(default_factory=dict)

    def answer(self, path: str, *answers: object) -> None:
        """Give `answers` in turn, the last one for ever: a result, an int (retCode), a Response."""
        left = list(answers)

        def handler(_: Seen) -> web.StreamResponse:
            return reply(left.pop(0) if len(left) > 1 else left[0])

        self.handlers[path] = handler

    def requests(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        seen = Seen(
            method=request.method,
            path=path,
            query=query,
            headers=dict(request.headers),
            body=await request.read(),
            params=dict(request.query),
        )
        self.seen.append(seen)
        response = self.handlers[path](seen)
        return response if isinstance(response, web.StreamResponse) else await response


def reply(answer: object) -> web.StreamResponse:
    if isinstance(answer, web.Response):
        # A response object serves once only; tests like to repeat theirs.
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
    if isinstance(answer, int):
        return web.json_response({"retCode": answer, "retMsg": "no", "result": {}, "time": 1})
    return web.json_response({"retCode": 0, "retMsg": "OK", "result": answer, "time": 1})


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    found = Exchange()
    runner = web.ServerRunner(web.Server(found.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}"
    found.answer("/v5/market/time", {"timeSecond": "1700000000", "timeNano": "1700000000123456789"})
    found.answer("/v5/crypto-loan-common/loanable-data", {"list": []})
    yield found
    await runner.cleanup()


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


class Skipping:
    """A monotonic clock that sleeping moves on, at once. Remembers how long was slept."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


@dataclass
class Parts:
    """A client, and what belongs to its host."""

    client: BybitClient
    clock: ExchangeClock
    ban: Ban
    limits: RequestLimits
    holding: Skipping


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Parts]]:
    """Makes clients that pace nothing and sleep no time, and closes them."""
    made: list[BybitClient] = []

    def build(
        url: str,
        *,
        clock: ExchangeClock | None = None,
        ban: Ban | None = None,
        limits: RequestLimits | None = None,
        request_timeout_s: float = 4.0,
    ) -> Parts:
        clock = clock or ExchangeClock(sleep=at_once)
        ban = ban or Ban("127.0.0.1")
        holding = Skipping()
        limits = limits or RequestLimits(
            spacing_s=dict.fromkeys(PATHS, 1e-6), monotonic=holding, sleep=holding.sleep
        )
        credentials = Credentials(api_key="key", signer=HmacSigner("secret"))
        client = BybitClient(
            Host(rest_url=url, clock=clock, ban=ban),
            credentials,
            limits=limits,
            request_timeout_s=request_timeout_s,
        )
        made.append(client)
        return Parts(client, clock, ban, limits, holding)

    yield build
    for client in made:
        await client.close()


class VirtualSelector(selectors.SelectSelector):
    """Nothing to wait for but time, and that is made to pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        # Never less than a microsecond: code that waits until a float is reached must get there.
        self.now += 1e-6 if ready or timeout is None else max(timeout, 1e-6)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.virtual = VirtualSelector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.now


@pytest.fixture
def run_virtually() -> Callable[[Main], list[float]]:
    """Runs `main(now)` on a loop of its own, where sleeping takes no time. It returns the times it noted."""

    def run(main: Main) -> list[float]:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main(runner.get_loop().time))

    return run


@pytest.fixture
def body() -> bytes:
    return json.dumps({"orderId": "1", "amount": "0.5", "direction": "0"}, separators=(",", ":")).encode()
