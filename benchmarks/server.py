"""The exchange of the benchmarks: the sandbox in a process of its own, and one clock for what arrives when.

    python benchmarks/server.py SCENARIO.json      (prints its URL)

Wire, signatures, limits, latency (the fault `slow`) and books are the sandbox's. What keeps its own work
out of the figures: time liquidates nobody (but in a storm), a page of orders costs its own rows only, and the
stream looks at prices every 5 ms. POST /bench/NAME: see `Bench`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from exchanges import ORDERS, StormyExchange, UnhurriedExchange, answer_orders, shows_breach
from requests_seen import Seen, reads_of, waits_of

from ltv_guard.sandbox import Exchange, Scenario, parse_scenario, stream
from ltv_guard.sandbox.api import ENDPOINTS
from ltv_guard.sandbox.faults import Fault
from ltv_guard.sandbox.wire import Wire

STREAM_PERIOD_S = 0.005
STORM = "storm"
RUSH_S = 5.0  # in which the exchange counts the requests of an address
PRICE_STEP = Decimal("0.000001")
TOO_SOON = 10006
RET_CODE = re.compile(rb'\{"retCode": (\d+)')
Asked = dict[str, Any]


class Bench:
    """What the scripts ask: `ltv` and `cross` move a price, `wait` waits for a request, the rest lists."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.seen: list[Seen] = []
        self.watched: tuple[str, Decimal] | None = None  # a loan, and its trigger
        self._shown: float | None = None
        self._waiting: list[tuple[Callable[[Seen], bool], asyncio.Future[Seen]]] = []
        self._acts = {
            "ltv": self._ltv,
            "cross": self._cross,
            "wait": self._wait,
            "sweeps": self._sweeps,
            "rush": self._rush,
            "price": self._price,
            "taken": self._taken_of_all,
            "served": self._served,
            "asked": self._asked,
            "slow": self._slow,
            "storm": self.tell,
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
            is_single=request.path == ORDERS and "orderId" in _given(request),
            address=request.remote or "",
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
        if self.watched and self._shown is None and shows_breach(told, *self.watched):
            self._shown = seen.left
        return answer

    async def act(self, name: str, asked: Asked) -> Asked:
        return await self._acts[name](asked)

    async def serve(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await self.act(request.match_info["name"], await request.json()))
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
        """Do the same, and tell the time from then until the first adjustment that was taken arrived.

        With a `trigger` also how long that was after an answer had first shown the breach. And what was read
        in that time, and how long this process stood still in it.
        """
        self._shown = None
        self.watched = (asked["loan_id"], Decimal(asked["trigger"])) if "trigger" in asked else None
        waits = asyncio.create_task(self._taken(asked["key"], asked["within_s"]))
        await asyncio.sleep(0)
        await self._ltv(asked)
        crossed = monotonic()
        async with standing_still() as stood_s:
            adjustment, refused = await waits
        ltv = self._loan(asked).ltv(self.exchange.moment().prices)
        taken_s = None if adjustment is None else adjustment.arrived - crossed
        shown_s = None if adjustment is None or self._shown is None else adjustment.arrived - self._shown
        told = {"reaction_s": taken_s, "refused": refused, "ltv_after": float(ltv)}
        reads = reads_of(self.seen, asked["key"], since=crossed)
        return told | {"after_shown_s": shown_s, "reads": reads, "stood_still_s": max(stood_s, default=0.0)}

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
        seen = [item for item in self.seen if item.arrived >= asked["since"]]
        by_address: dict[str, list[float]] = {}
        for item in seen:
            by_address.setdefault(item.address, []).append(item.arrived)
        return {
            "most": _most_at_once([item.arrived for item in seen]),
            "of_an_address": max((_most_at_once(times) for times in by_address.values()), default=0),
            "addresses": len(by_address),
            "requests": len(seen),
            "now": monotonic(),
        }

    async def _asked(self, asked: Asked) -> Asked:
        """Tell how often what was asked for since a time."""
        return dict(Counter(item.name for item in self.seen if item.arrived >= asked["since"]))

    async def _price(self, asked: Asked) -> Asked:
        """Set the price of a coin."""
        self.exchange.market.set_price(asked["coin"], Decimal(asked["price"]), self.exchange.clock.real_s())
        return {"now": monotonic()}

    async def _taken_of_all(self, asked: Asked) -> Asked:
        """Tell when the first adjustment of each key was taken, in seconds from a time."""
        first: dict[str, float] = {}
        for item in self.seen:
            if item.arrived >= asked["since"] and item.path.endswith("/adjust-ltv") and item.ret_code == 0:
                first.setdefault(item.key, item.arrived - asked["since"])
        return {"first_s": first}

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

    async def _slow(self, asked: Asked) -> Asked:
        """Answer everything after so many seconds from now on."""
        self.exchange.clear_faults()
        self.exchange.add_fault(Fault(kind="slow", times=None, seconds=Decimal(asked["seconds"])))
        return {}

    async def tell(self, asked: Asked) -> Asked:
        """Tell what became of a user's loans: those lost, and each add at its market time."""
        (exchange := self.exchange).look()
        began_s = exchange.market.began_s or Decimal(0)
        adds = [row for row in exchange.ledger.effects if row.user == asked["user"]]
        told = [(row.loan_id, float((row.applied_s or 0) - began_s), float(row.ltv_after)) for row in adds]
        lost = [row.loan_id for row in exchange.ledger.liquidations if row.user == asked["user"]]
        writes = [seen for seen in self.seen if _is_adjustment_of(asked["key"])(seen)]
        codes = [seen.ret_code for seen in writes if seen.answered.is_set()]
        too_soon = codes.count(TOO_SOON)
        refused = {"too_soon": too_soon, "otherwise": len(codes) - codes.count(0) - too_soon}
        told_of = {"adds": told, "lost": lost, "refused": refused, "waits": waits_of(writes, self.seen)}
        return {"market_s": float(exchange.moment().market_s), **told_of}

    def _loan(self, asked: Asked) -> Any:  # noqa: ANN401 - an order or a pool
        product = "crypto_loan" if asked["loan_id"] == "pool" else "crypto_loan_legacy"
        return self.exchange.ledger.loan(asked["user"], product, asked["loan_id"])


def _most_at_once(times: Sequence[float]) -> int:
    most, first = 0, 0
    for last, arrived in enumerate(times):
        while times[first] <= arrived - RUSH_S:
            first += 1
        most = max(most, last - first + 1)
    return most


@contextlib.asynccontextmanager
async def standing_still() -> AsyncIterator[list[float]]:
    """By how much this process came late, each few ms of the block: it was busy, or the machine was."""
    late_s: list[float] = []

    async def watch() -> None:
        while True:
            began = monotonic()
            await asyncio.sleep(STREAM_PERIOD_S)
            late_s.append(monotonic() - began - STREAM_PERIOD_S)

    watching = asyncio.create_task(watch())
    try:
        yield late_s
    finally:
        watching.cancel()


def _given(request: web.Request) -> set[str]:
    return {name for name, value in request.query.items() if value}


def _is_adjustment_of(key: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.key == key and seen.path.endswith("/adjust-ltv")


async def main(scenario: Scenario) -> None:
    """Serve until the process is ended."""
    ENDPOINTS[ORDERS] = replace(ENDPOINTS[ORDERS], handler=answer_orders)
    stormy = scenario.name == STORM
    if not stormy:
        stream.PERIOD_S = STREAM_PERIOD_S
    exchange: Exchange = StormyExchange(scenario) if stormy else UnhurriedExchange(scenario)
    bench, wire, prices = Bench(exchange), Wire(exchange), stream.Stream(exchange)
    application = web.Application(middlewares=[bench.note])
    application.router.add_post("/bench/{name}", bench.serve)
    application.router.add_get(stream.PATH, prices.serve)
    application.router.add_route("*", "/{tail:.*}", wire.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    if scenario.market.start == "immediately":
        exchange.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(parse_scenario(json.loads(Path(sys.argv[1]).read_text()))))
