"""The exchange of the benchmarks: the sandbox in a process of its own, and one clock for what arrives when.

    python benchmarks/server.py SCENARIO.json      (prints its URL)

Wire, signatures, limits, latency (the fault `slow`) and books are the sandbox's. What keeps its own work
out of the figures: time liquidates nobody, a page of orders costs its own rows only, and the stream looks
at prices every 5 ms. POST /bench/NAME: see `Bench`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from ltv_guard.sandbox import Exchange, Scenario, parse_scenario, payloads, stream
from ltv_guard.sandbox.api import ENDPOINTS
from ltv_guard.sandbox.calls import Call
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.wire import Wire

ORDERS = "/v5/crypto-loan/ongoing-orders"
STREAM_PERIOD_S = 0.005
RUSH_S = 5.0  # in which the exchange counts the requests of an address
PRICE_STEP = Decimal("0.000001")
RET_CODE = re.compile(rb'\{"retCode": (\d+)')
Asked = dict[str, Any]


class UnhurriedExchange(Exchange):
    """Nothing happens by itself: no interest, no liquidation, so that no tick walks through all loans."""

    def look(self) -> Moment:
        return self.moment()


def answer_orders(exchange: Exchange, call: Call, moment: Moment) -> dict[str, Any]:
    """Answer as the sandbox does, but write only the rows of the page."""
    orders = exchange.ledger.accounts[call.user].open_orders()
    for name, attribute in (
        ("orderId", "loan_id"),
        ("loanCurrency", "loan_coin"),
        ("collateralCurrency", "collateral_coin"),
    ):
        if wanted := call.optional(name):
            orders = [order for order in orders if getattr(order, attribute) == wanted]
    cursor, limit = call.optional("cursor"), call.number("limit", 10)
    begin = 1 + [order.loan_id for order in orders].index(cursor) if cursor else 0
    shown = orders[begin : begin + limit]
    more = len(orders) > begin + limit
    rows = [payloads.order_row(order, moment.prices) for order in shown]
    return {"list": rows, "nextPageCursor": shown[-1].loan_id if more else ""}


@dataclass(slots=True)
class Seen:
    """One request: when it had arrived whole and when its answer left, on the monotonic clock."""

    key: str
    path: str
    begins_sweep: bool
    arrived: float
    left: float = 0.0
    ends_sweep: bool = False
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    ret_code: int | None = None


class Bench:
    """What the scripts ask: `ltv` and `cross` move a price, `wait` waits for a request, `sweeps` lists."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.seen: list[Seen] = []
        self._waiting: list[tuple[Callable[[Seen], bool], asyncio.Future[Seen]]] = []
        self._acts = {
            "ltv": self._ltv,
            "cross": self._cross,
            "wait": self._wait,
            "sweeps": self._sweeps,
            "rush": self._rush,
            "served": self._served,
        }

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Write down every request that loans are read and adjusted by."""
        if not request.path.startswith("/v5/") or request.path == stream.PATH:
            return await handler(request)
        await request.read()
        seen = Seen(
            key=request.headers.get("X-BAPI-API-KEY", ""),
            path=request.path,
            begins_sweep=request.path == ORDERS and not {"cursor", "orderId"} & _given(request),
            arrived=monotonic(),
        )
        self.seen.append(seen)
        for wanted, future in self._waiting:
            if not future.done() and wanted(seen):
                future.set_result(seen)
        answer = await handler(request)
        body = answer.body if isinstance(answer, web.Response) else None
        told = body if isinstance(body, bytes) else b""
        seen.ends_sweep = request.path == ORDERS and b'"nextPageCursor": ""' in told
        seen.ret_code = int(found[1]) if (found := RET_CODE.match(told)) else None
        seen.left = monotonic()
        seen.answered.set()
        return answer

    async def serve(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await self._acts[request.match_info["name"]](await request.json()))
        except TimeoutError:
            return web.Response(status=504, reason="nothing of the kind arrived")

    async def _next(self, wanted: Callable[[Seen], bool], within_s: float) -> Seen:
        future: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        waiter = (wanted, future)
        self._waiting.append(waiter)
        try:
            return await asyncio.wait_for(future, within_s)
        finally:
            self._waiting.remove(waiter)

    async def _ltv(self, asked: Asked) -> Asked:
        """Set the price of a loan's one collateral coin so that it stands at `ltv`."""
        loan, prices = self._loan(asked), self.exchange.moment().prices
        coin = next(iter(loan.holdings()))
        price = prices[coin] * loan.ltv(prices) / Decimal(asked["ltv"])
        self.exchange.market.set_price(coin, price.quantize(PRICE_STEP), self.exchange.clock.real_s())
        return {"price": str(price)}

    async def _cross(self, asked: Asked) -> Asked:
        """Do the same, and tell the time from then until the first adjustment that was taken arrived."""
        waits = asyncio.create_task(self._taken(asked["key"], asked["within_s"]))
        await asyncio.sleep(0)
        await self._ltv(asked)
        crossed = monotonic()
        adjustment, refused = await waits
        ltv = self._loan(asked).ltv(self.exchange.moment().prices)
        taken_s = None if adjustment is None else adjustment.arrived - crossed
        return {"reaction_s": taken_s, "refused": refused, "ltv_after": float(ltv)}

    async def _taken(self, key: str, within_s: float) -> tuple[Seen | None, int]:
        refused, deadline = 0, monotonic() + within_s
        while True:
            try:
                adjustment = await self._next(_is_adjustment_of(key), deadline - monotonic())
            except TimeoutError:
                return None, refused
            await adjustment.answered.wait()
            if adjustment.ret_code == 0:
                return adjustment, refused
            refused += 1

    async def _wait(self, asked: Asked) -> Asked:
        """Wait for the next request: `any`, the first page of a sweep (`sweep`), or an `adjust`ment."""
        key = asked["key"]
        wanted: dict[str, Callable[[Seen], bool]] = {
            "any": lambda _: True,
            "sweep": lambda seen: seen.key == key and seen.begins_sweep,
            "adjust": _is_adjustment_of(key),
        }
        seen = await self._next(wanted[asked["what"]], asked["within_s"])
        return {"arrived": seen.arrived}

    async def _sweeps(self, asked: Asked) -> Asked:
        """Tell the spans of whole sweeps of a key since a time, its requests since, and those refused."""
        seen = [item for item in self.seen if item.key == asked["key"] and item.arrived >= asked["since"]]
        spans, began = [], None
        for item in seen:
            began = item.arrived if item.begins_sweep else began
            if item.ends_sweep and began is not None:
                spans.append(item.left - began)
                began = None
        refused = sum(item.ret_code != 0 for item in seen if item.answered.is_set())
        return {"spans": spans, "requests": len(seen), "refused": refused}

    async def _rush(self, asked: Asked) -> Asked:
        """Tell the most requests that arrived within any 5 s since a time, whoever sent them."""
        times = [item.arrived for item in self.seen if item.arrived >= asked["since"]]
        most, first = 0, 0
        for last, arrived in enumerate(times):
            while times[first] <= arrived - RUSH_S:
                first += 1
            most = max(most, last - first + 1)
        return {"most": most, "now": monotonic()}

    async def _served(self, asked: Asked) -> Asked:
        """Wait until so many adjustments were taken since a time; tell when the first and last arrived."""
        deadline = monotonic() + asked["within_s"]
        while True:
            taken = (item for item in self.seen if item.path.endswith("/adjust-ltv") and item.ret_code == 0)
            times = [item.arrived for item in taken if item.arrived >= asked["since"]]
            if len(times) >= asked["adjustments"]:
                return {"first_s": times[0] - asked["since"], "last_s": times[-1] - asked["since"]}
            if monotonic() > deadline:
                raise TimeoutError
            await asyncio.sleep(0.1)

    def _loan(self, asked: Asked) -> Any:  # noqa: ANN401 - an order or a pool
        product = "crypto_loan" if asked["loan_id"] == "pool" else "crypto_loan_legacy"
        return self.exchange.ledger.loan(asked["user"], product, asked["loan_id"])


def _given(request: web.Request) -> set[str]:
    return {name for name, value in request.query.items() if value}


def _is_adjustment_of(key: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.key == key and seen.path.endswith("/adjust-ltv")


async def main(scenario: Scenario) -> None:
    """Serve until the process is ended."""
    ENDPOINTS[ORDERS] = replace(ENDPOINTS[ORDERS], handler=answer_orders)
    stream.PERIOD_S = STREAM_PERIOD_S
    exchange = UnhurriedExchange(scenario)
    bench, wire, prices = Bench(exchange), Wire(exchange), stream.Stream(exchange)
    application = web.Application(middlewares=[bench.note])
    application.router.add_post("/bench/{name}", bench.serve)
    application.router.add_get(stream.PATH, prices.serve)
    application.router.add_route("*", "/{tail:.*}", wire.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    exchange.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(parse_scenario(json.loads(Path(sys.argv[1]).read_text()))))
