"""A connection for the next write, opened ahead: it saves the handshakes when seconds count.

It was never used when a write takes it, and is taken once. So a connection that could not be made still
proves that nothing was sent, and what goes wrong on this one leaves the outcome unknown, as on any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace

AHEAD = "OPTIONS"  # of the request that names where to connect to; it is never sent
RENEWED_S = 4.0  # sooner than a peer, or anything between, forgets a connection that says nothing
MOST_A_SECOND = 10.0  # opened by all accounts together: forty keep one all the time, hundreds have it in turn
ANSWERED_BY_ITSELF = select.POLLIN | select.POLLHUP | select.POLLERR


class _OpenedAhead(Exception):
    """There is a connection now; the request that asked for it has done its work."""


class WriteConnector(aiohttp.TCPConnector):
    """Every connection serves one write; one of them may wait for it."""

    def __init__(self, *, ttl_dns_cache: int, local_addr: tuple[str, int] | None = None) -> None:
        super().__init__(force_close=True, ttl_dns_cache=ttl_dns_cache, local_addr=local_addr)
        self._spare: ResponseHandler | None = None
        self.taken = asyncio.Event()

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> ResponseHandler:
        if req.method == AHEAD:
            opened = await super()._create_connection(req, traces, timeout)
            self.drop_spare()
            self._spare = opened
            raise _OpenedAhead
        spare, self._spare = self._spare, None
        if spare is None:
            return await super()._create_connection(req, traces, timeout)
        self.taken.set()
        if is_unused(spare):
            return spare
        spare.close()
        return await super()._create_connection(req, traces, timeout)

    def drop_spare(self) -> None:
        """Closes the connection that waits, if there is one."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None


def is_unused(connection: ResponseHandler) -> bool:
    """Whether nothing has come over it, not even its end: also what the loop has not looked at yet."""
    wire = connection.transport
    if wire is None or wire.is_closing() or connection.should_close:
        return False
    socket = wire.get_extra_info("socket")
    if socket is None:
        return False
    poll = select.poll()
    poll.register(socket.fileno(), ANSWERED_BY_ITSELF)
    return not poll.poll(0)


class OpeningPace:
    """One for all accounts of a host: where hundreds are near their triggers they would open nothing else.

    `monotonic` is in seconds.
    """

    def __init__(
        self, a_second: float = MOST_A_SECOND, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._a_second = a_second
        self._monotonic = monotonic
        self._left = a_second
        self._counted_s = monotonic()

    def allows(self, many: int = 1, *, leaving: int = 0) -> bool:
        """Whether so many may be opened now, and `leaving` after them. They count as opened then."""
        now = self._monotonic()
        self._left = min(self._a_second, self._left + (now - self._counted_s) * self._a_second)
        self._counted_s = now
        if self._left < many + leaving:
            return False
        self._left -= many
        return True


class WarmSocket:
    """Keeps one connection of `session` open, for as long as it is asked to."""

    def __init__(
        self, connector: WriteConnector, open_ahead: Callable[[], Awaitable[object]], *, renewed_s: float
    ) -> None:
        """`open_ahead` makes the request that is never sent: to where the writes go."""
        self._connector = connector
        self._open_ahead = open_ahead
        self._renewed_s = renewed_s
        self._keeping: asyncio.Task[None] | None = None
        self._until_s = 0.0

    def keep(self, seconds: float, may_open: Callable[[], bool]) -> None:
        """From now on for so long. Opens none while `may_open` says no."""
        now_s = asyncio.get_running_loop().time()
        self._until_s = max(self._until_s, now_s + seconds)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep(may_open))

    async def close(self) -> None:
        """Keeps nothing warm any more. A connection in use is left alone."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        self._connector.drop_spare()

    async def _keep(self, may_open: Callable[[], bool]) -> None:
        try:
            while (left_s := self._until_s - asyncio.get_running_loop().time()) > 0:
                self._connector.taken.clear()
                if may_open():
                    await self._open()
                else:
                    self._connector.drop_spare()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(self._renewed_s, left_s)):
                        await self._connector.taken.wait()
        finally:
            self._connector.drop_spare()

    async def _open(self) -> None:
        """Whatever prevents it costs a write its head start, no more: it tells of its own connection.

        The one before is let go as well: where none can be made it may be dead, and swallow a write.
        """
        try:
            await self._open_ahead()
        except _OpenedAhead:
            return
        except Exception:  # noqa: BLE001, S110 - no thread to look a name up: it is tried again all the same
            pass
        self._connector.drop_spare()
