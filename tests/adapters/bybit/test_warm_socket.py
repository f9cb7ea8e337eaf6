"""A connection that waits for a write, over real sockets: taken once, never a double."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from waits import until

from ltv_guard.adapters.bybit import Ban, BybitAccount, read_connections
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.read_connections import AT_ONCE, ReadConnections
from ltv_guard.adapters.bybit.transport import Transport
from ltv_guard.adapters.bybit.warm_socket import AHEAD, OpeningPace, WarmSocket, WriteConnector
from ltv_guard.core.model.errors import WriteNotSent, WriteOutcomeUnknown

ADJUST = "/v5/crypto-loan/adjust-ltv"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


@dataclass(slots=True)
class Peer:
    """Sockets as the peer has them, handled in threads: the client's loop knows nothing of them."""

    listener: socket.socket = field(default_factory=socket.socket)
    answers: bool = True
    accepted: list[socket.socket] = field(default_factory=list)
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def serve(self) -> None:
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        self.threads.append(threading.Thread(target=work, args=args, daemon=True))
        self.threads[-1].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.accepted.append(connection)
                self._start(self._read, len(self.accepted) - 1, connection)

    def _read(self, number: int, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.requests.append((number, data))
                if self.answers:
                    connection.sendall(ANSWER)

    def open_now(self) -> int:
        """How many of its connections the client has not closed."""
        return sum(not ended(connection) for connection in self.accepted)

    def close(self) -> None:
        """Whatever is still being accepted too: one that nobody closes fails a later test."""
        ends(self.listener)
        self.threads[0].join(10)
        for connection in self.accepted:
            ends(connection)
        for thread in self.threads:
            thread.join(10)


def ends(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.fixture
def peer() -> Iterator[Peer]:
    found = Peer()
    found.serve()
    yield found
    found.close()


@contextlib.asynccontextmanager
async def speaking_to(
    url: str, *, renewed_s: float = 60.0, timeout_s: float = 5.0
) -> AsyncIterator[Transport]:
    made = Transport(url, request_timeout_s=timeout_s, renewed_s=renewed_s)
    try:
        yield made
    finally:
        await made.close()


async def kept_warm(transport: Transport, peer: Peer) -> None:
    """Until the peer has a connection, and the client knows that it has."""
    transport.keep_warm(60)
    await until(lambda: len(peer.accepted) == 1)
    await until(lambda: transport._warm is not None and transport._warm._connector._spare is not None)


async def test_a_write_takes_the_connection_that_waits_and_the_next_one_another(
    peer: Peer, body: bytes
) -> None:
    async with speaking_to(peer.url) as transport:
        await kept_warm(transport, peer)
        for number in range(3):
            assert (await transport.post(ADJUST, body, {})).status == 200
            await until(lambda number=number: len(peer.accepted) == number + 2)
            await until(lambda: transport._warm is not None and transport._warm._connector._spare is not None)
        assert [number for number, _ in peer.requests] == [0, 1, 2]
        assert all(data.startswith(b"POST ") for _, data in peer.requests)


async def test_two_writes_at_once_never_share_it(peer: Peer, body: bytes) -> None:
    async with speaking_to(peer.url) as transport:
        await kept_warm(transport, peer)
        await asyncio.gather(*(transport.post(ADJUST, body, {}) for _ in range(3)))
        assert len({number for number, _ in peer.requests}) == len(peer.requests) == 3


async def test_it_is_renewed_unused_and_only_one_is_open(peer: Peer) -> None:
    async with speaking_to(peer.url, renewed_s=0.05) as transport:
        transport.keep_warm(60)
        await until(lambda: len(peer.accepted) > 4)
        await until(lambda: peer.open_now() == 1)
    assert peer.requests == []
    await until(lambda: peer.open_now() == 0)


async def test_it_is_let_go_when_its_time_is_over(peer: Peer) -> None:
    async with speaking_to(peer.url) as transport:
        transport.keep_warm(0.1)
        await until(lambda: len(peer.accepted) == 1)
        await until(lambda: peer.open_now() == 0)
        assert len(peer.accepted) == 1


def closes(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def half_closes(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def talks_unasked(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")


Ends = Callable[[socket.socket], None]
ENDS = pytest.mark.parametrize("end", [closes, half_closes, talks_unasked])


@ENDS
async def test_one_that_the_peer_has_ended_is_seen_before_it_is_used(
    peer: Peer, body: bytes, end: Ends
) -> None:
    async with speaking_to(peer.url) as transport:
        await kept_warm(transport, peer)
        end(peer.accepted[0])
        await asyncio.sleep(0.05)  # the client's loop has seen it
        assert (await transport.post(ADJUST, body, {})).status == 200
    assert [number for number, _ in peer.requests] == [1]


@ENDS
async def test_the_end_is_seen_although_the_loop_has_not_looked_yet(
    peer: Peer, body: bytes, end: Ends
) -> None:
    async with speaking_to(peer.url) as transport:
        await kept_warm(transport, peer)
        end(peer.accepted[0])
        time.sleep(0.05)  # noqa: ASYNC251 - it reaches the socket, and the loop does not turn
        assert (await transport.post(ADJUST, body, {})).status == 200
    assert [number for number, _ in peer.requests] == [1]


async def test_one_that_forgets_what_comes_leaves_one_unknown_and_sends_nothing_twice(
    peer: Peer, body: bytes
) -> None:
    """As behind a NAT that forgot the connection: what is sent is lost, and no answer comes."""
    peer.answers = False
    async with speaking_to(peer.url, timeout_s=0.3) as transport:
        await kept_warm(transport, peer)
        with pytest.raises(WriteOutcomeUnknown, match="no answer in time"):
            await transport.post(ADJUST, body, {})
        assert len(peer.requests) == 1
        peer.answers = True
        assert (await transport.post(ADJUST, body, {})).status == 200
    first, second = (number for number, _ in peer.requests)
    assert (first, second != first) == (0, True)


async def test_one_that_ends_while_the_write_is_under_way_leaves_one_unknown(peer: Peer, body: bytes) -> None:
    peer.answers = False
    async with speaking_to(peer.url) as transport:
        await kept_warm(transport, peer)
        sending = asyncio.create_task(transport.post(ADJUST, body, {}))
        await until(lambda: len(peer.requests) == 1)
        resets(peer.accepted[0])
        with pytest.raises(WriteOutcomeUnknown):
            await sending
        await asyncio.sleep(0.1)
    assert len(peer.requests) == 1


async def test_where_none_can_be_opened_the_write_tells_that_nothing_was_sent(body: bytes) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with speaking_to(f"http://127.0.0.1:{nobody.getsockname()[1]}", renewed_s=0.02) as transport:
            transport.keep_warm(60)
            await asyncio.sleep(0.1)
            with pytest.raises(WriteNotSent):
                await transport.post(ADJUST, body, {})


async def test_one_that_can_not_be_renewed_is_not_used_and_the_write_is_known_not_to_be_sent(
    peer: Peer, body: bytes
) -> None:
    """As in a network that has gone dark: the connection of before seems open, and leads nowhere."""
    async with speaking_to(peer.url, renewed_s=0.1) as transport:
        await kept_warm(transport, peer)
        ends(peer.listener)
        await until(lambda: peer.open_now() == 0)
        with pytest.raises(WriteNotSent):
            await transport.post(ADJUST, body, {})
    assert peer.requests == []


async def test_whatever_fails_a_renewal_it_is_tried_again(peer: Peer) -> None:
    connector = WriteConnector(ttl_dns_cache=60)
    fails = False

    async with aiohttp.ClientSession(connector=connector) as session:

        def open_ahead() -> Awaitable[object]:
            if fails:
                raise RuntimeError("can't start new thread")
            return session.request(AHEAD, peer.url)

        warm = WarmSocket(connector, open_ahead, renewed_s=0.05)
        warm.keep(60, lambda: True)
        await until(lambda: peer.open_now() == 1)
        fails = True
        await until(lambda: peer.open_now() == 0)
        before, fails = len(peer.accepted), False
        await until(lambda: len(peer.accepted) > before)
        await warm.close()


async def test_none_is_opened_where_that_is_not_allowed(peer: Peer) -> None:
    allowed = True
    async with speaking_to(peer.url, renewed_s=0.03) as transport:
        transport.keep_warm(60, lambda: allowed)
        await until(lambda: len(peer.accepted) > 1)
        allowed = False
        await until(lambda: peer.open_now() == 0)
        before = len(peer.accepted)
        await asyncio.sleep(0.1)
        assert len(peer.accepted) == before


async def test_an_account_near_a_trigger_has_one_and_some_for_reads_unless_the_host_is_banned(
    peer: Peer, connect: Callable[..., object]
) -> None:
    banned = Ban("127.0.0.1", remaining_s=600)
    for ban, opened in ((banned, 0), (Ban("127.0.0.1"), 1 + AT_ONCE)):
        parts = connect(peer.url, ban=ban)
        BybitAccount(parts.client).keep_ready(parts.clock.now().monotonic_ms + 60_000)
        if opened:
            await until(lambda: len(peer.accepted) == 1 + AT_ONCE)
        else:
            await asyncio.sleep(0.1)
        assert len(peer.accepted) == opened


def test_hundreds_of_accounts_near_their_triggers_open_a_few_connections_a_second() -> None:
    now = 100.0
    pace = OpeningPace(10, monotonic=lambda: now)
    assert sum(pace.allows() for _ in range(300)) == 10
    opened = 0
    for _ in range(40):  # ten seconds, four times a second
        now += 0.25
        opened += sum(pace.allows() for _ in range(75))
    assert 99 <= opened <= 100
    now += 3600.0
    assert sum(pace.allows() for _ in range(300)) == 10


async def test_nor_does_it_open_one_for_what_a_crossing_asks_for_at_once(
    peer: Peer, connect: Callable[..., object]
) -> None:
    """Of these it had opened none while it was calm, and a handshake takes longer than an answer."""
    parts = connect(peer.url)
    near = keeping_ready(parts.client)
    near(60_000)
    await until(lambda: len(peer.accepted) == AT_ONCE + 1)  # and one for the next write
    await asyncio.sleep(0.1)
    near(60_000)
    await asyncio.sleep(0.1)
    assert len(peer.requests) == AT_ONCE
    await asyncio.gather(*(parts.client.server_time() for _ in range(AT_ONCE)), return_exceptions=True)
    assert (len(peer.requests), len(peer.accepted)) == (2 * AT_ONCE, AT_ONCE + 1)


async def test_they_are_opened_once_and_anew_once_it_was_calm(
    peer: Peer, connect: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def works(_: BybitClient) -> int:
        nonlocal asked
        asked += 1
        return 0

    monkeypatch.setattr(read_connections, "AGAIN_S", 0)
    monkeypatch.setattr(BybitClient, "server_time", works)
    client = connect(peer.url).client
    object.__setattr__(client.host, "openings", OpeningPace(1_000))
    near = keeping_ready(client)
    for _ in range(2):
        near(200)
        await asyncio.sleep(0.02)
    assert asked == AT_ONCE
    await asyncio.sleep(0.3)
    near(60_000)
    await until(lambda: asked == 2 * AT_ONCE)


async def test_where_not_all_may_be_opened_none_is_and_a_later_look_opens_them(
    peer: Peer, connect: Callable[..., object]
) -> None:
    client = connect(peer.url).client
    while client.host.openings.allows(leaving=AT_ONCE + 4):
        pass
    near = keeping_ready(client)
    near(60_000)
    await asyncio.sleep(0.05)
    assert peer.requests == []
    assert client.host.may_open(), "the next write's go first"
    await asyncio.sleep(1.0)  # of ten a second
    near(60_000)
    await until(lambda: len(peer.requests) == AT_ONCE)


async def test_where_the_address_has_no_room_none_is_opened(
    peer: Peer, connect: Callable[..., object]
) -> None:
    client = connect(peer.url).client
    while client.host.address.has_room:
        assert client.host.address.enters_now()
    keeping_ready(client)(60_000)
    await until(lambda: len(peer.accepted) == 1)  # for the next write
    await asyncio.sleep(0.05)
    assert peer.requests == []


async def test_where_they_could_not_be_opened_they_are_tried_again_and_not_each_second(
    peer: Peer, connect: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def fails() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise OSError

    connections = ReadConnections(fails, lambda: True)
    for _ in range(3):
        connections.open(anew=False)
        await asyncio.sleep(0.01)
    assert asked == AT_ONCE
    monkeypatch.setattr(read_connections, "AGAIN_S", 0)
    for _ in range(3):
        connections.open(anew=False)
        await asyncio.sleep(0.01)
    assert asked == 2 * AT_ONCE
    connections.open(anew=True)
    await asyncio.sleep(0.01)
    assert asked == 3 * AT_ONCE


def keeping_ready(client: BybitClient) -> Callable[[int], None]:
    account = BybitAccount(client)
    return lambda ms: account.keep_ready(client.clock.now().monotonic_ms + ms)
