"""A wire between a program and a server that can be cut, slowed down, or left open with nothing passing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CHUNK = 1 << 16


class Wire:
    """Listens on `port` of this machine while it is open; `connect` leads to the server behind it.

    While it is held nothing passes, neither bytes nor the begin or end of a connection; what was on its way
    comes late, once it is well again. While it is cut, connections end at once.
    """

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self.port = 0
        self._connect = connect
        self._delay_s = 0.0
        self._is_cut = False
        self._passes = asyncio.Event()
        self._passes.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._abort_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        self._is_cut = True
        self._passes.set()
        self._abort_all()

    def hold(self) -> None:
        self._passes.clear()

    def slow(self, delay_s: float) -> None:
        """Each piece takes so long, one way."""
        self._delay_s = delay_s

    def mend(self) -> None:
        self._is_cut = False
        self._delay_s = 0.0
        self._passes.set()

    def _abort_all(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._ends.add(writer)
        try:
            await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._ends.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        if self._is_cut:
            return
        try:
            behind, to_server = await self._connect()
        except OSError:  # it is down: so are we
            return
        self._ends.add(to_server)
        try:
            await asyncio.gather(self._pump(reader, to_server), self._pump(behind, writer))
        finally:
            to_server.transport.abort()
            self._ends.discard(to_server)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                data = await reader.read(CHUNK)
                await asyncio.sleep(self._delay_s)
                await self._passes.wait()
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()
