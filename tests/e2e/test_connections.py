"""A connection that is refused proves that nothing was sent: nothing has to be waited for, or settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from e2e_world import DIRECTIONS, NEEDY, PRODUCTS, Product, World, crossed, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld


class Gate:
    """A way to the exchange that can be shut: what stands goes on, and new connections are refused.

    Reads keep their connection from one cycle to the next; a write always makes one of its own.
    """

    def __init__(self, port_behind: int) -> None:
        self.port = 0
        self._port_behind = port_behind
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass_through, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()

    async def end(self) -> None:
        self.shut()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._port_behind)
        for source, sink in ((reader, behind_writer), (behind_reader, writer)):
            task = asyncio.create_task(_pump(source, sink))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


@asynccontextmanager
async def a_gate_before(world: World) -> AsyncIterator[Gate]:
    gate = Gate(int(world.exchange.url.rsplit(":", 1)[1]))
    await gate.open()
    world.configure({"exchange": {"base_url": f"http://127.0.0.1:{gate.port}"}})
    try:
        yield gate
    finally:
        await gate.end()


@pytest.mark.parametrize(
    ("product", "direction"), crossed(PRODUCTS, DIRECTIONS, stays=lambda _, direction: direction == "add")
)
async def test_a_refused_connection_is_withdrawn_and_made_up_for_without_waiting_for_a_window(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    config = {"settlement": {"processing_margin_s": 60}}  # which an unknown outcome would have to wait for
    async with (
        open_a_world(scenario_of(product=product), config=config) as world,
        a_gate_before(world) as gate,
        world.guarded(),
    ):
        await world.until(lambda: len(world.heard("cycle_finished")) > 2)
        gate.shut()
        world.price(NEEDY[direction])
        await world.until(lambda: bool(world.heard("adjustment_withdrawn")))
        assert not world.exchange.writes
        await gate.open()
        await world.until_settled_at_target(direction)
        *refused, landed = await world.judged()
        assert {intent.state for intent in refused} == {"withdrawn"}
        assert landed.state == "confirmed"
        assert "no connection was made" in (refused[0].ret_msg or "")
        assert not world.heard("adjustment_unknown")
        assert len(world.adjustments_sent()) == 1
