"""Who hears of a daemon, on this machine: a box for Apprise's messages, and a dead man's switch."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import apprise
from aiohttp import web

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports with its first URL: warnings are errors here
    apprise.Apprise().add("json://127.0.0.1/")


async def dawdle(who: Box | Switch) -> None:
    """Takes its time, until it is not slow any more."""
    began = time.monotonic()
    while time.monotonic() - began < who.slow_s:  # noqa: ASYNC110 - it may be hurried at any moment
        await asyncio.sleep(0.05)


@dataclass
class Box:
    """Takes Apprise's `json://`. `slow_s`: how long each answer takes."""

    got: list[dict[str, Any]] = field(default_factory=list)
    slow_s: float = 0
    port: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(await request.json())
        await dawdle(self)
        return web.Response()

    @property
    def titles(self) -> list[str]:
        return [item["title"] for item in self.got]


@asynccontextmanager
async def a_box(port: int = 0) -> AsyncIterator[Box]:
    box, app = Box(), web.Application()
    app.router.add_post("/{rest:.*}", box.take)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    box.port = runner.addresses[0][1]
    try:
        yield box
    finally:
        box.slow_s = 0
        await runner.cleanup()


ALIVE = "uuid-that-nobody-may-see"  # the last part of the switch's URL


@dataclass
class Switch:
    """A server of the protocol. `heard`: the last part of each path, and the body."""

    url: str = ""
    heard: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200
    slow_s: float = 0

    async def answer(self, request: web.Request) -> web.Response:
        await dawdle(self)
        self.heard.append((request.path.rpartition("/")[2], await request.text()))
        return web.Response(status=self.status)

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.heard]


@asynccontextmanager
async def a_switch() -> AsyncIterator[Switch]:
    served, app = Switch(), web.Application()
    app.router.add_post("/{rest:.*}", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/check/{ALIVE}"
    try:
        yield served
    finally:
        served.slow_s = 0
        await runner.cleanup()
