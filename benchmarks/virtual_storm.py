"""A storm in virtual time: the daemon's scheduler, guards, client, stream against the sandbox, in one loop.

Only for `storm.py --virtual`, which sets the clocks (virtual_time.py) before anything of the project is
imported. What differs from the daemon: the journal is in memory, and nothing else runs beside the cycles, the
stream of prices and the looks at the clock.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import apscheduler.executors.base
import apscheduler.schedulers.base
import structlog
import virtual_time
import world
from aiohttp import web
from exchanges import ORDERS, StormyExchange, answer_orders
from server import Bench

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.adapters.settings import load
from ltv_guard.sandbox import parse_scenario, stream
from ltv_guard.sandbox.api import ENDPOINTS
from ltv_guard.sandbox.wire import Wire
from ltv_guard.service import jobs
from ltv_guard.service.compose import Frame, begin
from ltv_guard.service.duties import Duties
from ltv_guard.service.scheduler import Daemon

SHUTDOWN_S = 5.0


def weather(plan: world.Tree, changes: world.Tree, folder: Path, *, ends_s: float, seed: int) -> world.Tree:
    """What the server tells of it at the end. `changes` are of the guard's configuration."""
    virtual_time.set_clock_of(apscheduler.schedulers.base, apscheduler.executors.base, jobs)
    structlog.configure(processors=[_drop])
    random.seed(seed)
    folder.mkdir()
    with asyncio.Runner(loop_factory=virtual_time.VirtualLoop) as runner:
        return runner.run(_weather(plan, changes, folder, ends_s))


def _drop(_logger: object, _name: str, _event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    raise structlog.DropEvent


async def _weather(plan: world.Tree, changes: world.Tree, folder: Path, ends_s: float) -> world.Tree:
    borrower = world.Borrower(name=next(iter(plan["users"])), orders=1)
    asked = {"user": borrower.name, "key": borrower.key}
    async with _serving(borrower, plan) as (bench, url):
        changes = {**changes, **world.with_stream(url)}
        world.guard(borrower, url, folder, changes)
        async with _guarding(folder / "config.yaml"):
            await asyncio.sleep(ends_s)
            return await bench.tell(asked)


@asynccontextmanager
async def _serving(borrower: world.Borrower, plan: world.Tree) -> AsyncIterator[tuple[Bench, str]]:
    """As benchmarks/server.py does, in this process."""
    ENDPOINTS[ORDERS] = replace(ENDPOINTS[ORDERS], handler=answer_orders)
    exchange = StormyExchange(parse_scenario({**world.scenario([borrower]), **plan}))
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
async def _guarding(configuration: Path) -> AsyncIterator[None]:
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
