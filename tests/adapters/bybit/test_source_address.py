"""Connections leave from the address that is configured, over real sockets; one that is gone is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from waits import until

from ltv_guard.adapters.bybit import why_unusable
from ltv_guard.adapters.bybit.answers import TransientError
from ltv_guard.adapters.bybit.ban import Ban
from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.bybit.price_stream import SpotPrices
from ltv_guard.adapters.bybit.transport import Transport
from ltv_guard.core.model.errors import WriteNotSent

NOBODYS = "192.0.2.1"  # for documentation: no machine has it
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
SOURCES = [
    ("127.0.0.1", "127.0.0.2"),
    pytest.param(
        "::1", "::1", marks=pytest.mark.skipif(why_unusable("::1") is not None, reason="no IPv6 here")
    ),
]


@dataclass(slots=True)
class Peer:
    """Answers every request of a connection, and notes where each connection came from."""

    url: str = ""
    callers: list[str] = field(default_factory=list)
    tasks: list[asyncio.Task[None] | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        self.callers.append(writer.get_extra_info("peername")[0])
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(ANSWER)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(host: str) -> AsyncIterator[Peer]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, host, 0)
    shown = f"[{host}]" if ":" in host else host
    peer.url = f"http://{shown}:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        await asyncio.gather(*filter(None, peer.tasks))  # each ends with its client
        await server.wait_closed()


@contextlib.asynccontextmanager
async def speaking_to(url: str, source: str) -> AsyncIterator[Transport]:
    made = Transport(url, request_timeout_s=5.0, source_address=source)
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize(("host", "source"), SOURCES)
async def test_reads_writes_and_the_connection_that_waits_leave_from_it(host: str, source: str) -> None:
    async with listening(host) as peer:
        async with speaking_to(peer.url, source) as wire:
            assert (await wire.get("/v5/market/time", "", {})).status == 200
            assert (await wire.post("/v5/crypto-loan/adjust-ltv", b"", {})).status == 200
            assert peer.callers == [source, source]
            wire.keep_warm(60)
            await until(lambda: len(peer.callers) == 3)
            assert (await wire.post("/v5/crypto-loan/adjust-ltv", b"", {})).status == 200
            await until(lambda: len(peer.callers) == 4)  # the next one waits already
        assert set(peer.callers) == {source}


async def test_an_address_that_is_gone_sends_nothing_and_is_named() -> None:
    async with listening("127.0.0.1") as peer:
        async with speaking_to(peer.url, NOBODYS) as wire:
            with pytest.raises(TransientError) as read:
                await wire.get("/v5/market/time", "", {})
            assert "exchange.source_address" in read.value.mend
            with pytest.raises(WriteNotSent, match="no connection was made"):
                await wire.post("/v5/crypto-loan/adjust-ltv", b"", {})
        assert peer.callers == []


async def test_an_address_of_the_other_kind_sends_nothing() -> None:
    async with listening("127.0.0.1") as peer, speaking_to(peer.url, "::1") as wire:
        with pytest.raises(WriteNotSent, match="no connection was made"):
            await wire.post("/v5/crypto-loan/adjust-ltv", b"", {})
        assert peer.callers == []


async def test_the_stream_says_so_where_its_address_is_gone() -> None:
    async with listening("127.0.0.1") as peer:
        url = peer.url.replace("http", "ws")
        stream = SpotPrices(url, clock=ExchangeClock(), ban=Ban("here"), source_address=NOBODYS)
        stream.follow(["BTC"])
        running = asyncio.create_task(stream.run())
        try:
            await stream.moved()
        finally:
            running.cancel()
            await asyncio.wait([running])
        assert "exchange.source_address" in (stream.why_lost or "")
        assert peer.callers == []


def test_whether_an_address_can_be_used_is_known_before_anything_is_sent() -> None:
    assert why_unusable("127.0.0.2") is None
    assert why_unusable(NOBODYS) == "no network interface of this machine has it"
