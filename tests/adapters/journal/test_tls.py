"""What a PostgreSQL URL says about TLS reaches the driver, on the shared connections and on a claim's own."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import make_url

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.journal.postgres import PostgresStore
from ltv_guard.adapters.journal.postgres_url import parse_url
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.loans import Owner

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL_3 = 196608


@asynccontextmanager
async def a_server_without_tls() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Its port, and what each client said first, and next when TLS was refused."""
    heard: list[bytes] = []
    answering: list[asyncio.Task[None]] = []

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.create_task(answer(reader, writer)))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while first := await reader.read(8):
                heard.append(first)
                if first != SSL_REQUEST:
                    break
                writer.write(b"N")
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heard
        await asyncio.gather(*answering)


@pytest.mark.parametrize("option", ["sslmode=require", "ssl=require", "ssl=true"])
async def test_tls_that_is_asked_for_is_never_done_without(option: str) -> None:
    async with a_server_without_tls() as (port, heard):
        with pytest.raises(JournalUnavailable):
            await open_journal(f"postgresql+asyncpg://guard@127.0.0.1:{port}/journal?{option}")
    assert set(heard) == {SSL_REQUEST}


@pytest.mark.parametrize("option", ["sslmode=disable", "ssl=disable", "ssl=false"])
async def test_tls_that_is_declined_is_not_asked_for(option: str) -> None:
    async with a_server_without_tls() as (port, heard):
        with pytest.raises(JournalUnavailable):
            await open_journal(f"postgresql://guard@127.0.0.1:{port}/journal?{option}")
    assert heard
    assert all(struct.unpack("!ii", first)[1] == PROTOCOL_3 for first in heard)


async def test_a_claims_own_session_asks_for_tls_as_well() -> None:
    async with a_server_without_tls() as (port, heard):
        store = PostgresStore(f"postgresql://guard@127.0.0.1:{port}/journal?ssl=require", timeout_s=1)
        with pytest.raises(JournalUnavailable):
            await store.claim(Owner("testnet", "1"))
        await store.close()
    assert set(heard) == {SSL_REQUEST}


def test_an_option_of_the_server_is_left_as_it_is() -> None:
    parsed = parse_url("postgresql://db/journal?sslrootcert=/ca.pem&ssl=require&search_path=guard")
    assert dict(parsed.query) == {"sslrootcert": "/ca.pem", "sslmode": "require", "search_path": "guard"}
    assert make_url("postgresql+asyncpg://db/journal?sslmode=require") == parse_url(
        "postgres://db/journal?sslmode=require"
    )
