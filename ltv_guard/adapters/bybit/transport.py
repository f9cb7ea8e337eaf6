"""Bytes to the exchange and back: the only user of aiohttp. One session for reads, one for the write.

Which exceptions prove that nothing was sent is aiohttp's business, so it is decided here and nowhere else.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 - the first TLS handshake would import it, in the middle of a send
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Self

import aiohttp
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from ltv_guard import __version__
from ltv_guard.adapters.bybit.answers import BANNED, Answer, TransientError
from ltv_guard.adapters.bybit.no_answer import TooLarge, kind_of, mend_of, words_of
from ltv_guard.adapters.bybit.source_address import local_address
from ltv_guard.adapters.bybit.warm_socket import AHEAD, RENEWED_S, WarmSocket, WriteConnector
from ltv_guard.core.model.errors import WriteNotSent, WriteOutcomeUnknown

LARGEST_READ = 8 * 1024 * 1024
LARGEST_WRITE_ANSWER = 64 * 1024
LONGEST_CONNECT_S = 2.0
DNS_KEPT_S = 60
CHUNK = 64 * 1024


class Transport:
    """Sends prepared requests. It signs nothing, retries nothing, and follows no redirect.

    (aiohttp itself repeats a GET once if a pooled connection turns out to be closed; never a POST.)
    """

    def __init__(
        self,
        rest_url: str,
        *,
        request_timeout_s: float,
        renewed_s: float = RENEWED_S,
        source_address: str | None = None,
    ) -> None:
        """A connection that waits for a write is opened anew after `renewed_s`."""
        self._rest_url = rest_url.rstrip("/")
        self._source = source_address
        self._timeout = _timeout(request_timeout_s)
        self._reads: aiohttp.ClientSession | None = None
        self._writes: aiohttp.ClientSession | None = None
        self._warm: WarmSocket | None = None
        self._renewed_s = renewed_s
        self._closed = False
        self.requests_ended = 0  # answered or given up
        self.answers: Counter[str] = Counter()  # the same by kind: 2xx, 4xx ..., timeout, unsent, failed

    async def get(
        self, path: str, query: str, headers: Mapping[str, str], *, largest: int | None = None
    ) -> Answer:
        """At most `largest` bytes of an answer. Raises TransientError where none arrives."""
        if self._closed:
            raise TransientError(f"{path}: the connection to the exchange is closed")
        try:
            if self._reads is None:
                self._reads = self._session(
                    aiohttp.TCPConnector(ttl_dns_cache=DNS_KEPT_S, local_addr=local_address(self._source))
                )
            target = self._url(f"{path}?{query}" if query else path)
            fresh = {**headers, "Cache-Control": "no-cache"}
            async with self._reads.get(target, headers=fresh, allow_redirects=False) as response:
                most = LARGEST_READ if largest is None else min(largest, LARGEST_READ)
                return self._counted(await _read(response, most))
        except Exception as exc:  # whatever it is (no thread to look a name up): it costs this read, no more
            self.answers[kind_of(exc)] += 1
            raise TransientError(f"{path}: {words_of(exc)}", mend=mend_of(exc, self._source)) from exc
        finally:
            self.requests_ended += 1

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends `body` once, over a connection of its own: that which is held open for it, or a new one.

        Raises WriteNotSent where no connection was made (DNS, TCP, TLS), WriteOutcomeUnknown for any other
        failure: from then on bytes may have left.
        """
        if self._closed:
            raise WriteNotSent(f"{path}: the connection to the exchange is closed")
        try:
            writes, url = self._for_writes(), self._url(path)
        except Exception as exc:
            raise WriteNotSent(f"{path}: no connection was made: {words_of(exc)}") from exc
        try:
            async with writes.post(
                url,
                data=body,
                headers={**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"},
                allow_redirects=False,
            ) as response:
                return self._counted(await _read(response, LARGEST_WRITE_ANSWER))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            self.answers[kind_of(exc)] += 1
            # Only the connector raises these, before it hands out a connection to write to; none of its
            # connections was ever written to, and aiohttp makes a single attempt at a POST.
            raise WriteNotSent(f"{path}: no connection was made: {words_of(exc)}") from exc
        except Exception as exc:
            self.answers[kind_of(exc)] += 1
            raise WriteOutcomeUnknown(f"{path}: {words_of(exc)}") from exc
        finally:
            self.requests_ended += 1

    def keep_warm(self, seconds: float, may_open: Callable[[], bool] = lambda: True) -> None:
        """Holds a connection open for the next write, for so long, as far as `may_open` allows."""
        if self._closed:
            return
        self._for_writes()
        if self._warm is not None:
            self._warm.keep(seconds, may_open)

    def _counted(self, answer: Answer) -> Answer:
        self.answers[f"{answer.status // 100}xx"] += 1
        return answer

    def _for_writes(self) -> aiohttp.ClientSession:
        if self._writes is None:
            connector = WriteConnector(ttl_dns_cache=DNS_KEPT_S, local_addr=local_address(self._source))
            writes = self._writes = self._session(connector)
            self._warm = WarmSocket(
                connector, lambda: writes.request(AHEAD, self._url("/")), renewed_s=self._renewed_s
            )
        return self._writes

    async def close(self) -> None:
        """Closes its connections."""
        self._closed = True
        if self._warm is not None:
            await self._warm.close()
        for session in (self._reads, self._writes):
            if session is not None:
                await session.close()

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Response,
            headers={"User-Agent": f"ltv-guard/{__version__}"},
        )

    def _url(self, target: str) -> URL:
        # `encoded`: yarl would write %2C as a comma, and the bytes sent would not be those that were signed.
        return URL(self._rest_url + target, encoded=True)


class _Response(aiohttp.ClientResponse):
    """Knows the connection that it came over, also once that is free for the next request."""

    wire: asyncio.BaseTransport | None = None

    async def start(self, connection: Connection) -> Self:
        self.wire = connection.transport
        await super().start(connection)
        return self

    def hang_up(self) -> None:
        """A connection that brought the answer to another request would bring more of them."""
        if self.wire is not None:
            self.wire.close()


def _timeout(total_s: float) -> aiohttp.ClientTimeout:
    connect_s = min(LONGEST_CONNECT_S, total_s / 2)
    # aiohttp rounds timeouts above `ceil_threshold` up to whole seconds: ours has to stay below the window.
    return aiohttp.ClientTimeout(
        total=total_s, connect=connect_s, sock_connect=connect_s, ceil_threshold=total_s + 1
    )


async def _read(response: aiohttp.ClientResponse, largest: int) -> Answer:
    """The whole answer, bounded after decompression. A ban's body doesn't matter and may be anything."""
    chunks: list[bytes] = []
    if response.status != BANNED:
        size = 0
        async for chunk in response.content.iter_chunked(CHUNK):
            size += len(chunk)
            if size > largest:
                response.close()
                raise TooLarge(f"the answer is larger than {largest} bytes")
            chunks.append(chunk)
    return Answer(
        status=response.status,
        body=b"".join(chunks),
        headers=CIMultiDict(response.headers),
        hang_up=response.hang_up if isinstance(response, _Response) else lambda: None,
    )
