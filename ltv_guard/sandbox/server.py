"""Serving a sandbox over HTTP, on this machine unless asked otherwise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web

from ltv_guard.sandbox.control import Control
from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.scenario import Scenario
from ltv_guard.sandbox.scenario_files import load_scenario
from ltv_guard.sandbox.stream import PATH, Stream
from ltv_guard.sandbox.wire import Wire

TICK_S = 0.05


class Sandbox:
    """A simulated exchange for a scenario, or for a scenario file.

    async with Sandbox(scenario).serve() as exchange:
        ...  # exchange.url, exchange.ledger, exchange.market
    """

    def __init__(self, scenario: Scenario | Path) -> None:
        self.scenario = load_scenario(scenario) if isinstance(scenario, Path) else scenario

    @contextlib.asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Exchange]:
        """Serves until the block is left; port 0 takes a free one. Every call is a fresh exchange."""
        exchange = Exchange(self.scenario)
        wire, stream = Wire(exchange), Stream(exchange)
        application = web.Application()
        application.router.add_route("*", "/sandbox/{name}", Control(exchange).serve)
        application.router.add_get(PATH, stream.serve)
        application.router.add_route("*", "/{tail:.*}", wire.serve)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, reuse_address=True)
            await site.start()
            exchange.url = f"http://{host}:{runner.addresses[0][1]}"
            if self.scenario.market.start == "immediately":
                exchange.start()
            ticking = asyncio.create_task(_tick(exchange))
            try:
                yield exchange
            finally:
                ticking.cancel()
                await asyncio.gather(ticking, return_exceptions=True)
        finally:
            await stream.close()
            await wire.close()
            await runner.cleanup()


async def _tick(exchange: Exchange) -> None:
    """Lets prices liquidate while nobody asks, too."""
    while True:
        exchange.look()
        await asyncio.sleep(TICK_S)


async def run(
    scenario_path: Path, host: str, port: int, stop: asyncio.Event, announce: Callable[[str], None]
) -> None:
    """Serves a scenario file until `stop` is set; `announce` gets lines for a person.

    Raises ScenarioError when the file is unusable, OSError when the port can't be had.
    """
    async with Sandbox(scenario_path).serve(host, port) as exchange:
        announce(f"sandbox: scenario {exchange.scenario.name} at {exchange.url}")
        announce(f"sandbox: state at {exchange.url}/sandbox/state")
        await stop.wait()
