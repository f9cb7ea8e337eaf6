"""The daemon's scheduler, guards, client and stream beside the sandbox: in one loop, in virtual time.

Only for what sets the clocks (virtual_time.py) before anything of the project is imported. What differs from
the daemon: the journal is in memory, and nothing else runs beside the cycles, the stream of prices and the
looks at the clock.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import apscheduler.executors.base
import apscheduler.schedulers.base
import structlog
import virtual_time
from aiohttp import web
from exchanges import ORDERS, answer_orders
from server import Bench

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.adapters.settings import load
from ltv_guard.sandbox import Exchange, stream
from ltv_guard.sandbox.api import ENDPOINTS
from ltv_guard.sandbox.wire import Wire
from ltv_guard.service import jobs
from ltv_guard.service.compose import Frame, begin
from ltv_guard.service.duties import Duties
from ltv_guard.service.scheduler import Daemon

SHUTDOWN_S = 5.0
Event = MutableMapping[str, Any]


def run(work: Coroutine[Any, Any, Any], seed: int, heard: list[Event] | None = None) -> Any:  # noqa: ANN401
    """What it returns. `heard` collects what is logged; else nothing does."""

    def hear(_logger: object, _name: str, event: Event) -> Event:
        if heard is not None:
            heard.append(event)
        raise structlog.DropEvent

    virtual_time.set_clock_of(apscheduler.schedulers.base, apscheduler.executors.base, jobs)
    structlog.configure(processors=[hear])
    random.seed(seed)
    with asyncio.Runner(loop_factory=virtual_time.VirtualLoop) as runner:
        return runner.run(work)


@asynccontextmanager
async def serving(exchange: Exchange) -> AsyncIterator[tuple[Bench, str]]:
    """As benchmarks/server.py does, in this process."""
    ENDPOINTS[ORDERS] = replace(ENDPOINTS[ORDERS], handler=answer_orders)
    bench, wire, prices = Bench(exchange), Wire(exchange), stream.Stream(exchange)
    application = web.Application(middlewares=[bench.note])
    application.router.add_get(stream.PATH, prices.serve)
    application.router.add_route("*", "/{tail:.*}", wire.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield bench, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def guarding(configuration: Path) -> AsyncIterator[None]:
    """A daemon for as long as the block lasts: cycles, the stream of prices, looks at the clock."""
    settings, stop = load(configuration), asyncio.Event()
    schedule = settings.schedule
    wiring = begin(Frame(settings=settings, journal=MemoryJournal(), live=True, stopping=stop.is_set))

    async def skew_ms() -> int:
        await wiring.any_client.measure_clock()
        return wiring.clock.wall_skew_ms

    async def beat(_is_sound: bool) -> None:  # noqa: FBT001 - as duties have it
        return None

    daemon = Daemon(
        Duties(
            guards=wiring.guards,
            poll_s=float(schedule.poll_interval_s),
            fastest_poll_s=float(schedule.fastest_poll_s),
            settle_s=float(schedule.settle_interval_s),
            shutdown_s=SHUTDOWN_S,
            measure_clock=skew_ms,
            heartbeat=beat,
            connections=wiring.connections,
            stream=wiring.stream,
            accounts=wiring.accounts,
        )
    )
    running = asyncio.create_task(daemon.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running
        await wiring.close()
