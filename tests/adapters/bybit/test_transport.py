"""The wire itself, over real sockets: what proves that nothing was sent, and that nothing goes out twice."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ltv_guard.adapters.bybit import answers, transport
from ltv_guard.adapters.bybit.transport import Transport
from ltv_guard.core.model.errors import ExchangeUnavailable, WriteNotSent, WriteOutcomeUnknown

if TYPE_CHECKING:
    from conftest import Exchange

ADJUST = "/v5/crypto-loan/adjust-ltv"
TIME = "/v5/market/time"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that does to its connections whatever `handler` does."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        if tasks:
            await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def speaking_to(url: str, timeout_s: float = 5.0) -> AsyncIterator[Transport]:
    made = Transport(url, request_timeout_s=timeout_s)
    try:
        yield made
    finally:
        await made.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    return head + await reader.readexactly(length)


async def test_a_refused_connection_is_not_sent(body: bytes) -> None:
    async with speaking_to(f"http://127.0.0.1:{free_port()}") as wire:
        with pytest.raises(WriteNotSent, match="no connection was made"):
            await wire.post(ADJUST, body, {})
        with pytest.raises(answers.TransientError, match="ClientConnectorError"):
            await wire.get(TIME, "", {})


async def test_a_name_that_does_not_resolve_is_not_sent(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(aiohttp.resolver.DefaultResolver, "resolve", fails)
    async with speaking_to("http://exchange.invalid") as wire:
        with pytest.raises(WriteNotSent, match="DNS"):
            await wire.post(ADJUST, body, {})


async def test_a_resolver_that_hangs_is_not_sent(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(aiohttp.resolver.DefaultResolver, "resolve", hangs)
    async with speaking_to("http://exchange.invalid", timeout_s=0.2) as wire:
        with pytest.raises(WriteNotSent, match="Connection timeout"):
            await wire.post(ADJUST, body, {})


async def test_a_handshake_that_hangs_is_not_sent(body: bytes) -> None:
    received = b""
    done = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while chunk := await reader.read(1000):
            received += chunk
        done.set()

    async with listening(silent) as url, speaking_to(url.replace("http", "https"), timeout_s=0.4) as wire:
        with pytest.raises(WriteNotSent):
            await wire.post(ADJUST, body, {})
        await done.wait()
    assert body not in received
    assert b"POST" not in received


async def test_a_peer_that_speaks_no_tls_is_not_sent(body: bytes) -> None:
    async def plain_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with listening(plain_http) as url, speaking_to(url.replace("http", "https")) as wire:
        with pytest.raises(WriteNotSent):
            await wire.post(ADJUST, body, {})


async def test_an_untrusted_certificate_is_not_sent(body: bytes, own_certificate: ssl.SSLContext) -> None:
    asked = False

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked = True

    async with listening(handler, own_certificate) as url, speaking_to(url) as wire:
        with pytest.raises(WriteNotSent, match=r"[Cc]ertificate"):
            await wire.post(ADJUST, body, {})
    assert not asked


async def test_a_connection_that_waits_has_its_handshake_behind_it(
    body: bytes, own_certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen: list[bytes] = []
        connections.append(seen)
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    async with listening(serve, own_certificate) as url, speaking_to(url) as to:
        to.keep_warm(60)
        while not connections:  # noqa: ASYNC110 - until the handshake is done
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert (await to.post(ADJUST, body, {})).status == 200
        await to.close()
    assert len(connections[0]) == 1


async def test_every_way_of_losing_an_answer_leaves_the_outcome_unknown(body: bytes) -> None:
    """Closed before the request is read, closed after, half an answer, no HTTP, silence: one POST each."""
    posts = 0

    async def closes_unread(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def resets_unread(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    def says(text: bytes) -> Handler:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal posts
            assert body in await read_request(reader)
            posts += 1
            writer.write(text)

        return handler

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal posts
        await read_request(reader)
        posts += 1
        await reader.read()

    answering = [
        says(b""),
        says(b"HTTP/1.1 200 OK\r\n"),
        says(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"retCode":0,'),
        says(b"SSH-2.0-OpenSSH_9\r\n\r\n"),
        hangs,
    ]
    for handler in (closes_unread, resets_unread, *answering):
        async with listening(handler) as url, speaking_to(url, timeout_s=0.4) as wire:
            with pytest.raises(WriteOutcomeUnknown):
                await wire.post(ADJUST, body, {})
    assert posts == len(answering)


async def test_every_write_has_a_connection_of_its_own(body: bytes) -> None:
    connections = 0

    async def keeps_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await read_request(reader)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}")

    async with listening(keeps_alive) as url, speaking_to(url) as wire:
        for _ in range(3):
            assert (await wire.post(ADJUST, body, {})).body == b"{}"
        assert connections == 3
        for _ in range(3):
            await wire.get(TIME, "", {})
        assert connections == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(exchange: Exchange, body: bytes, status: int) -> None:
    exchange.answer("/elsewhere", {"adjustId": "1"})
    exchange.answer(ADJUST, web.Response(status=status, headers={"Location": "/elsewhere"}))
    exchange.answer(TIME, web.Response(status=status, headers={"Location": "/elsewhere"}))
    async with speaking_to(exchange.url) as wire:
        assert (await wire.post(ADJUST, body, {})).status == status
        assert (await wire.get(TIME, "", {})).status == status
    assert exchange.requests("/elsewhere") == []


async def test_the_bytes_sent_are_the_bytes_given(exchange: Exchange) -> None:
    exchange.answer(ADJUST, {})
    exchange.answer(TIME, {})
    async with speaking_to(exchange.url + "/") as wire:
        await wire.post(ADJUST, b'{"amount":"0.10",  "x":"\xc3\xa9"}', {"X-BAPI-SIGN": "s"})
        await wire.get(TIME, "coin=BTC%2CUSDT&cursor=a%20b%2Fc%3D", {})
    posted, got = exchange.seen
    assert posted.body == b'{"amount":"0.10",  "x":"\xc3\xa9"}'
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.headers["X-BAPI-SIGN"] == "s"
    assert got.query == "coin=BTC%2CUSDT&cursor=a%20b%2Fc%3D"
    assert got.headers["User-Agent"].startswith("ltv-guard/")


async def test_no_proxy_no_cookie_comes_from_outside(
    exchange: Exchange, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    exchange.answer(TIME, web.Response(body=b"{}", headers={"Set-Cookie": "a=b"}))
    exchange.answer(ADJUST, {})
    async with speaking_to(exchange.url.replace("127.0.0.1", "localhost")) as wire:
        for _ in range(2):
            await wire.get(TIME, "", {})
        await wire.post(ADJUST, body, {})
    assert all("Cookie" not in seen.headers for seen in exchange.seen)


async def test_an_answer_of_absurd_size_is_not_swallowed(
    exchange: Exchange, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LARGEST_READ", 100_000)
    huge = web.Response(body=b"x" * 200_000)
    bomb = web.Response(body=gzip.compress(b"x" * 5_000_000), headers={"Content-Encoding": "gzip"})
    exchange.answer(TIME, huge, bomb)
    exchange.answer(ADJUST, huge, bomb)
    async with speaking_to(exchange.url) as wire:
        for _ in range(2):
            with pytest.raises(answers.TransientError, match="larger than 100000 bytes"):
                await wire.get(TIME, "", {})
            with pytest.raises(WriteOutcomeUnknown, match="larger than 65536 bytes"):
                await wire.post(ADJUST, body, {})


async def test_cancelling_a_write_cancels_it(body: bytes) -> None:
    arrived = asyncio.Event()

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await reader.read()

    async with listening(hangs) as url, speaking_to(url) as wire:
        task = asyncio.create_task(wire.post(ADJUST, body, {}))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_after_close_nothing_is_sent(exchange: Exchange, body: bytes) -> None:
    async with speaking_to(exchange.url) as wire:
        pass
    with pytest.raises(WriteNotSent):
        await wire.post(ADJUST, body, {})
    with pytest.raises(ExchangeUnavailable):
        await wire.get(TIME, "", {})
    assert exchange.seen == []


def test_timeouts_are_exact_and_connecting_has_its_own() -> None:
    long = transport._timeout(20)
    assert (long.total, long.connect, long.sock_connect) == (20, 2.0, 2.0)
    assert long.ceil_threshold > 20
    assert transport._timeout(1).connect == 0.5


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server context with a certificate that nobody trusts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=20_000))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
