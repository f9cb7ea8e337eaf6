"""The connection that waits for a write dies unseen: at worst one unknown that settles, never a double."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from e2e_world import NEAR, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld


IDLE_S = 0.3


@dataclass(slots=True)
class Line:
    """One connection of the daemon's. It is idle until bytes come over it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_idle: bool = True
    is_forgotten: bool = False
    since_s: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Middle:
    """What stands between daemon and exchange: passes bytes on, and may do something to idle connections."""

    host: str
    port: int
    lines: list[Line] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def idle(self) -> list[Line]:
        """Those that wait: what is opened for a read is idle for a moment only."""
        latest_s = time.monotonic() - IDLE_S
        idle = [line for line in self.lines if line.is_idle and not line.reader.at_eof()]
        return [line for line in idle if line.since_s < latest_s]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with contextlib.suppress(ConnectionError):
            await self._pass_on(line)
        line.is_idle = False
        writer.close()

    async def _pass_on(self, line: Line) -> None:
        first = await line.reader.read(65536)
        line.is_idle = False
        if line.is_forgotten:
            await line.reader.read()  # what comes is lost, and nobody says so
        if line.is_forgotten or not first:
            return
        answers, requests = await asyncio.open_connection(self.host, self.port)
        requests.write(first)
        await asyncio.gather(copied(line.reader, requests), copied(answers, line.writer))


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def standing_before(url: str) -> AsyncIterator[tuple[Middle, str]]:
    there = urlsplit(url)
    middle = Middle(there.hostname or "", there.port or 0)
    server = await asyncio.start_server(middle.serve, "127.0.0.1", 0)
    try:
        yield middle, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in middle.tasks:
            task.cancel()
        await asyncio.gather(*middle.tasks, return_exceptions=True)


def closes(line: Line) -> None:
    line.writer.close()


def half_closes(line: Line) -> None:
    line.writer.write_eof()


def resets(line: Line) -> None:
    line.writer.transport.abort()


def forgets(line: Line) -> None:
    line.is_forgotten = True


@pytest.mark.parametrize(
    ("does", "unknown"),
    [
        (forgets, 1),
        (closes, 0),
        pytest.param(half_closes, 0, marks=pytest.mark.slow),
        pytest.param(resets, 0, marks=pytest.mark.slow),
    ],
)
async def test_a_waiting_connection_that_dies_costs_at_most_one_unknown_and_never_a_double(
    open_a_world: OpenWorld, does: Callable[[Line], None], unknown: int
) -> None:
    async with open_a_world(scenario_of(NEAR)) as world, standing_before(world.exchange.url) as (middle, url):
        await world.trust_journal()
        world.configure({"exchange": {"base_url": url}, "schedule": {"fastest_poll_s": 0.1}})
        async with world.guarded():
            await world.until(lambda: len(middle.idle) == 1)
            for line in middle.idle:
                does(line)
            world.price(39_000)
            await world.until_settled_at_target()
        assert len(world.heard("adjustment_unknown")) == unknown
        assert [row.direction for row in world.effects()] == ["add"], "it must never be doubled"
        assert len(world.adjustments_sent()) == 1, "it must never leave again"
        await world.judge()
